//! The layers: what each folder of `src/` may import, read from the sources.
//!
//! Sources are read as tokens, so that imports in braces, paths in expressions and the inside of macros all count; comments
//! and the text of documentation do not. A path out of a layer that is spelt with `super` counts as well.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// One folder or file of `src/`.
struct Layer {
    name: &'static str,
    number: u8,
    /// Which others it may use.
    may_use: &'static [&'static str],
    /// Which other crates; `None`: all that the package depends on. What only tests depend on is free.
    crates: Option<&'static [&'static str]>,
}

/// What the wire protocol needs; clients need it too.
const PROTOCOL: &[&str] = &["bytes", "pbjson", "prost", "serde", "serde_json", "thiserror"];
/// Rooms are made of the protocol's messages, and are kept as it writes them.
const DOMAIN: &[&str] = &["bytes", "pbjson", "prost", "serde", "serde_json", "thiserror", "unicode_normalization"];
/// tokio and glommio are the two executors that it has hosts for.
const ACTOR: &[&str] = &[
    "core_affinity",
    "flume",
    "futures_util",
    "glommio",
    "libc",
    "rustix",
    "serde_json",
    "slab",
    "thiserror",
    "tokio",
    "tracing",
];
const NET: &[&str] =
    &["bytes", "io_uring", "libc", "mio", "polling", "serde", "socket2", "thiserror", "tracing", "tungstenite"];
const BELOW_SERVER: &[&str] = &["protocol", "domain", "actor", "net", "store", "http"];
const ALL: &[&str] = &["protocol", "domain", "actor", "net", "store", "http", "server", "config", "cli"];

const LAYERS: &[Layer] = &[
    Layer { name: "protocol", number: 0, may_use: &[], crates: Some(PROTOCOL) },
    Layer { name: "domain", number: 1, may_use: &["protocol"], crates: Some(DOMAIN) },
    Layer { name: "actor", number: 2, may_use: &[], crates: Some(ACTOR) },
    Layer { name: "net", number: 3, may_use: &["protocol", "actor"], crates: Some(NET) },
    Layer { name: "store", number: 3, may_use: &["protocol", "domain"], crates: None },
    Layer { name: "http", number: 3, may_use: &["protocol", "domain", "store"], crates: None },
    Layer { name: "server", number: 4, may_use: BELOW_SERVER, crates: None },
    Layer { name: "config", number: 5, may_use: ALL, crates: None },
    Layer { name: "cli", number: 5, may_use: ALL, crates: None },
    Layer { name: "lib", number: 5, may_use: ALL, crates: None },
    Layer { name: "main", number: 5, may_use: ALL, crates: None },
];

/// The first layer that does I/O: from here on, clocks may be read and chance drawn.
const FIRST_WITH_CLOCKS: u8 = 2;

#[test]
fn no_layer_imports_what_the_table_does_not_give_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&src, &mut paths);
    assert!(paths.len() > 50, "the sources are where they were: {paths:?}");
    let files: Vec<_> =
        paths.iter().map(|path| (path.strip_prefix(&src).unwrap(), fs::read_to_string(path).unwrap())).collect();
    let mut checker = Checker::new(dependencies(include_str!("../Cargo.toml")), files.iter().map(|(_, text)| text));
    for (file, text) in &files {
        checker.check(file, text);
    }
    assert!(checker.violations.is_empty(), "the layers are not kept:\n  {}\n", checker.violations.join("\n  "));
}

#[test]
fn every_way_to_write_a_forbidden_import_is_found() {
    for (file, source, expected) in [
        ("domain/room.rs", "use crate::net::outbox::Outbox;", "domain/room.rs:1: domain may not use net"),
        ("domain/mod.rs", "use crate::{\n    domain::chat,\n    store::{self, State},\n};", "domain may not use store"),
        (
            "actor/mesh.rs",
            "use crate::actor::{self, shard};\nfn f(id: crate::protocol::ids::UserId) {}",
            ":2: actor may not use protocol",
        ),
        ("actor/mod.rs", "use super::domain::room;", "actor may not use domain"),
        ("net/mod.rs", "mod tests { mod deeper { use super::frame; } use super::super::server; }", "`super::super`"),
        ("store/state.rs", "fn f() { let room = crate::server::rooms::find(); }", "store may not use server"),
        ("store/state.rs", "macro_rules! m { () => { $crate::http::desk() } }", "store may not use http"),
        ("http/desk.rs", "tracing::info!(shards = crate::server::handle::count());", "http may not use server"),
        ("http/desk.rs", "pub use ::pianorhythm_server::net::socket;", "http may not use net"),
        ("server/run.rs", "use crate::config::Config;", "server may not use config"),
        ("protocol/ids.rs", "use crate::*;", "protocol may not use the root"),
        ("protocol/ids.rs", "use crate as root;", "protocol may not use the root"),
        ("protocol/ids.rs", "use glommio::Task;", "protocol may not use the crate glommio"),
        ("domain/name.rs", "use {bytes::Bytes, tokio::{net::TcpStream, time}};", "domain may not use the crate tokio"),
        ("domain/name.rs", "use libc;", "domain may not use the crate libc"),
        ("actor/mesh.rs", "fn f() -> ::prost::bytes::Bytes { todo!() }", "actor may not use the crate prost"),
        ("gossip/mod.rs", "", "gossip is in no layer"),
        ("domain/mod.rs", "#![allow(clippy::disallowed_methods)]", "allows clippy's disallowed methods"),
        ("lib.rs", "#[allow(clippy::disallowed_methods, reason = \"\")] pub mod domain;", "domain is told the time"),
    ] {
        let violations = violations_of(file, source);
        assert_eq!(violations.len(), 1, "{source}: {violations:?}");
        assert!(violations[0].contains(expected), "{source}: {violations:?}");
    }
}

#[test]
fn what_the_table_gives_and_what_only_looks_like_an_import_passes() {
    for (file, source) in [
        ("domain/room.rs", "use crate::{domain::chat, protocol::wire};\nuse super::chat::Line;"),
        ("domain/room.rs", "//! Not like [`crate::net::outbox`].\n/// See `crate::server`.\npub(crate) struct Room;"),
        ("domain/room.rs", "mod tests { use super::*; use proptest::prelude::*; use std::{net::IpAddr, time}; }"),
        ("domain/room.rs", "use crate::domain::{tokio::Task, name}; fn f() { name::tokio::run(\"crate::net\") }"),
        ("store/contract.rs", "crate::state_contract!(open);"),
        ("net/mod.rs", "mod tests { use super::frame; } pub(in crate::net) fn f() {}"),
        ("server/run.rs", "use crate::{actor, domain, http, net, protocol, store}; use tokio::net::TcpListener;"),
        ("main.rs", "use pianorhythm_server::{cli, config::Config, server::run};"),
        ("lib.rs", "#[cfg(unix)] #[allow(clippy::disallowed_methods, reason = \"\")] pub mod actor; pub mod domain;"),
    ] {
        let violations = violations_of(file, source);
        assert!(violations.is_empty(), "{source}: {violations:?}");
    }
}

fn violations_of(file: &str, source: &str) -> Vec<String> {
    let dependencies = ["bytes", "glommio", "libc", "prost", "tokio"].map(str::to_owned).into();
    let mut checker = Checker::new(dependencies, ["#[macro_export] macro_rules! state_contract { () => {}; }"]);
    checker.check(Path::new(file), source);
    checker.violations
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The names, as paths write them, of the crates that the package itself depends on.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1).expect("the manifest has dependencies");
    let section = section.split("\n[").next().unwrap_or(section);
    let named = section.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
    named.filter_map(|line| line.split(['=', '.', ' ']).next()).map(|name| name.replace('-', "_")).collect()
}

/// What all sources are checked with, and what was found.
struct Checker {
    /// The crates that the package depends on.
    dependencies: BTreeSet<String>,
    /// Macros stand at the root wherever they are written.
    macros: BTreeSet<String>,
    violations: Vec<String>,
}

impl Checker {
    fn new(dependencies: BTreeSet<String>, sources: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut macros = BTreeSet::new();
        for source in sources {
            let definitions = source.as_ref().split("macro_rules!").skip(1);
            macros.extend(definitions.filter_map(|rest| rest.split_whitespace().next()).map(str::to_owned));
        }
        Self { dependencies, macros, violations: Vec::new() }
    }

    /// Reads one source; `file` is from `src/` on.
    fn check(&mut self, file: &Path, source: &str) {
        let mut add = |line, what: String| {
            let violation = format!("src/{}:{line}: {what}", file.display());
            // Several names of one import.
            if self.violations.last() != Some(&violation) {
                self.violations.push(violation);
            }
        };
        let first = Path::new(file.iter().next().expect("a file has a name"));
        let name = first.file_stem().unwrap().to_str().unwrap();
        let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
            return add(1, format!("{name} is in no layer: give it its row in tests/layers.rs"));
        };
        let tokens: TokenStream = source.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let tokens = trees(tokens);
        // How many modules the file lies below the root: `mod.rs` is its folder, and the root lies below nothing.
        let is_folder =
            matches!(file.file_name().and_then(|name| name.to_str()), Some("mod.rs" | "lib.rs" | "main.rs"));
        let depth = file.iter().count() - usize::from(is_folder);
        let mut found = Vec::new();
        paths(&tokens, &Around { prefix: Vec::new(), depth, in_use: false }, &mut found);
        let mut allowed = if name == "lib" { clocks_at_mod_lines(&tokens, &mut add) } else { 0 };
        for path in found {
            match layer.verdict(&path, &self.dependencies, &self.macros) {
                Some(_) if path.is_clock_allowance() && allowed > 0 => allowed -= 1,
                Some(what) => add(path.line, what),
                None => {}
            }
        }
    }
}

impl Layer {
    /// What is wrong with a path in this layer.
    fn verdict(&self, path: &Named, dependencies: &BTreeSet<String>, macros: &BTreeSet<String>) -> Option<String> {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        if path.is_clock_allowance() {
            return Some("allows clippy's disallowed methods: that is for `mod` lines in lib.rs".into());
        }
        match *segments {
            ["self", "super", "super", ..] | ["super", "super", ..] => {
                Some("`super::super`: begin the path with `crate`".into())
            }
            ["self", "super", root] | ["super", root] | ["self", "super", root, ..] | ["super", root, ..]
                if path.depth == 1 =>
            {
                self.verdict_on_root(root, macros)
            }
            ["crate" | "pianorhythm_server", root, ..] => self.verdict_on_root(root, macros),
            ["crate"] => self.verdict_on_root("*", macros),
            [name, ..] => {
                let free = self.crates.is_none_or(|crates| crates.contains(&name)) || !dependencies.contains(name);
                (!free).then(|| format!("{} may not use the crate {name}", self.name))
            }
            [] => None,
        }
    }

    fn verdict_on_root(&self, root: &str, macros: &BTreeSet<String>) -> Option<String> {
        if root == self.name || self.may_use.contains(&root) || macros.contains(root) {
            return None;
        }
        Some(match root {
            "*" | "self" => format!("{} may not use the root as a whole", self.name),
            root if ALL.contains(&root) => format!("{} may not use {root}", self.name),
            root => format!("{root} is in no layer"),
        })
    }
}

/// A path as it is written somewhere, that of one import where it stood in braces.
#[derive(Debug)]
struct Named {
    segments: Vec<String>,
    line: usize,
    /// Modules below the root.
    depth: usize,
}

impl Named {
    fn is_clock_allowance(&self) -> bool {
        self.segments == ["clippy", "disallowed_methods"]
    }
}

/// What is known of tokens from those around them.
#[derive(Clone)]
struct Around {
    /// The path that went before the braces.
    prefix: Vec<String>,
    depth: usize,
    in_use: bool,
}

/// Collects the paths among these tokens: those of imports, and what else has a `::`.
fn paths(tokens: &[TokenTree], around: &Around, found: &mut Vec<Named>) {
    let mut around = around.clone();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ';' => around.in_use = false,
            TokenTree::Ident(ident) if ident == "use" => around.in_use = !is_punct(tokens.get(at), '<'),
            // What follows is the name that an import gets here.
            TokenTree::Ident(ident) if ident == "as" && around.in_use => at += 1,
            TokenTree::Group(group) => {
                let is_module = at >= 3 && is(&tokens[at - 3], "mod") && group.delimiter() == Delimiter::Brace;
                let depth = around.depth + usize::from(is_module);
                let in_use = around.in_use && group.delimiter() == Delimiter::Brace;
                paths(&trees(group.stream()), &Around { depth, in_use, ..around.clone() }, found);
            }
            TokenTree::Ident(ident) => {
                let mut segments = around.prefix.clone();
                segments.push(ident.to_string());
                while is_path(tokens, at) {
                    match tokens.get(at + 2) {
                        Some(TokenTree::Ident(next)) => segments.push(next.to_string()),
                        Some(all) if is_punct(Some(all), '*') => segments.push("*".into()),
                        Some(TokenTree::Group(group)) => {
                            let prefix = std::mem::take(&mut segments);
                            paths(&trees(group.stream()), &Around { prefix, ..around.clone() }, found);
                        }
                        // The arguments of a generic.
                        _ => break,
                    }
                    at += 3;
                }
                // Where nothing is imported, a name by itself is a local one, or the `crate` of `pub(crate)`.
                if segments.len() > 1 || (around.in_use && !segments.is_empty()) {
                    found.push(Named { segments, line: ident.span().start().line, depth: around.depth });
                }
            }
            _ => {}
        }
    }
}

/// Counts the allowances of clocks and chance that stand where they may, and tells of those at a layer that may not.
fn clocks_at_mod_lines(tokens: &[TokenTree], add: &mut impl FnMut(usize, String)) -> usize {
    let (mut counted, mut pending) = (0, false);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(attribute) if at >= 1 && is_punct(tokens.get(at - 1), '#') => {
                let mut found = Vec::new();
                let around = Around { prefix: Vec::new(), depth: 0, in_use: false };
                paths(&trees(attribute.stream()), &around, &mut found);
                pending |= found.iter().any(Named::is_clock_allowance);
            }
            TokenTree::Ident(name) if pending && at >= 1 && is(&tokens[at - 1], "mod") => {
                (counted, pending) = (counted + 1, false);
                let layer = LAYERS.iter().find(|layer| name == layer.name);
                if layer.is_none_or(|layer| layer.number < FIRST_WITH_CLOCKS) {
                    add(name.span().start().line, format!("{name} is told the time, and reads no clock"));
                }
            }
            _ => {}
        }
    }
    counted
}

fn trees(tokens: TokenStream) -> Vec<TokenTree> {
    tokens.into_iter().collect()
}

fn is(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

fn is_punct(token: Option<&TokenTree>, char: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == char)
}

/// Whether `::` stands there.
fn is_path(tokens: &[TokenTree], at: usize) -> bool {
    let joint = matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.spacing() == Spacing::Joint);
    joint && is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')
}
