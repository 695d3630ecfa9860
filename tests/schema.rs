//! The committed schema: names, numbers, types, labels and enum values of `proto/`, held against `proto/lock.txt`.
//!
//! What is locked never changes, since clients in the field were built from it. What is new goes in with
//! `UPDATE_SCHEMA_LOCK=1 cargo test --test schema`; what is taken away leaves its number and its name `reserved`.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path};

use pianorhythm_server::protocol::wire::DESCRIPTORS;
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

const HEAD: &str = "\
# What clients were built from: the messages and enums of proto/. Never edit a line; tests/schema.rs tells how it grows.
";

#[test]
fn the_schema_is_the_locked_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/lock.txt");
    let schema = Schema::of(&FileDescriptorSet::decode(DESCRIPTORS).unwrap());
    let locked = Schema::parse(&fs::read_to_string(&path).unwrap_or_default());
    let breaks = schema.breaks(&locked);
    assert!(
        breaks.is_empty(),
        "proto/ no longer is what clients were built from:\n  {}\n\
         Give back what was there; a field or value that goes leaves its number and name `reserved`.",
        breaks.join("\n  ")
    );
    if schema == locked {
        return;
    }
    if env::var("UPDATE_SCHEMA_LOCK").as_deref() == Ok("1") {
        fs::write(&path, format!("{HEAD}{schema}")).unwrap();
        return;
    }
    panic!(
        "proto/ has what proto/lock.txt has not:\n  {}\n\
         If it is meant to stay for good, run `UPDATE_SCHEMA_LOCK=1 cargo test --test schema` and commit the lock.",
        schema.news(&locked).join("\n  ")
    );
}

#[test]
fn a_schema_reads_back_as_it_was_written() {
    let schema = Schema::of(&FileDescriptorSet::decode(DESCRIPTORS).unwrap());
    assert_eq!(Schema::parse(&format!("{HEAD}{schema}")), schema);
    let line = |container: &str, key: i32| schema.containers[container][&Key::Number(key)].as_str();
    assert_eq!(line("message MidiMessage", 2), "timestamp: int64");
    assert_eq!(line("message RoomSettings", 12), "note_quota: optional enum NoteQuota, JSON noteQuota");
    assert_eq!(line("message ClientMessage", 6), "midiMessage: MidiMessage, one of message");
    assert_eq!(line("message Resume", 2), "last_sequences: map<uint32, uint32>, JSON lastSequences");
    assert_eq!(line("enum ClientMessage.MessageType", 24), "GAP");
}

#[test]
fn what_is_locked_may_neither_change_nor_vanish() {
    let locked =
        "message Note\n  1 key: uint32\n  2 name: string\n  reserved 9\n  reserved pitch\nenum Pedal\n  0 UP\n";
    let fine = [
        locked.to_owned(),
        locked.replace("  2 name: string\n", "  2 name: string\n  3 soft: bool\n"),
        locked.replace("  2 name: string\n", "  reserved 2\n  reserved name\n"),
        format!("{locked}message Chord\n  1 root: Note\n"),
    ];
    for schema in fine {
        assert_eq!(Schema::parse(&schema).breaks(&Schema::parse(locked)), [""; 0], "{schema}");
    }
    for (from, to, why) in [
        ("1 key: uint32", "1 key: uint64", "message Note, 1: `key: uint32` became `key: uint64`"),
        ("1 key: uint32", "1 pitch: uint32", "message Note, 1: `key: uint32` became `pitch: uint32`"),
        ("1 key: uint32", "1 key: repeated uint32", "message Note, 1: `key: uint32` became `key: repeated uint32`"),
        ("  2 name: string\n", "", "message Note, 2: `name: string` is gone and not reserved"),
        ("  2 name: string\n", "  reserved 2\n", "message Note, 2: `name: string` is gone and not reserved"),
        ("  2 name: string\n", "  4 name: string\n", "message Note, 2: `name: string` is gone and not reserved"),
        ("  reserved 9\n", "  9 soft: bool\n", "message Note: 9 is no longer reserved"),
        ("  reserved pitch\n", "", "message Note: pitch is no longer reserved"),
        ("enum Pedal\n  0 UP\n", "", "enum Pedal is gone"),
        ("  0 UP\n", "  0 DOWN\n", "enum Pedal, 0: `UP` became `DOWN`"),
    ] {
        let breaks = Schema::parse(&locked.replace(from, to)).breaks(&Schema::parse(locked));
        assert_eq!(breaks, [why]);
    }
}

#[test]
fn what_is_new_is_told_and_breaks_nothing() {
    let locked = Schema::parse("message Note\n  1 key: uint32\n");
    let schema = Schema::parse("message Note\n  1 key: uint32\n  2 soft: bool\nenum Pedal\n  0 UP\n");
    assert_eq!(schema.news(&locked), ["enum Pedal, 0: `UP`", "message Note, 2: `soft: bool`"]);
}

/// What clients are built from. Written one message or enum after the other, one line a field or value.
#[derive(Debug, Default, PartialEq)]
struct Schema {
    /// By kind and name, for example `message Welcome`.
    containers: BTreeMap<String, BTreeMap<Key, String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i32),
    ReservedNumber(i32),
    ReservedName(String),
}

impl Schema {
    fn of(files: &FileDescriptorSet) -> Self {
        let mut schema = Self::default();
        for file in &files.file {
            let package = format!(".{}.", file.package());
            for message in &file.message_type {
                schema.add_message(&package, "", message);
            }
            for declaration in &file.enum_type {
                schema.add_enum("", declaration);
            }
        }
        schema
    }

    fn parse(text: &str) -> Self {
        let mut schema = Self::default();
        let mut container = None;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let Some(item) = line.strip_prefix("  ") else {
                container = Some(schema.containers.entry(line.to_owned()).or_default());
                continue;
            };
            let (first, rest) = item.split_once(' ').unwrap_or_else(|| panic!("a line of no kind: {line}"));
            let key = match (first, rest.parse(), first.parse()) {
                ("reserved", Ok(number), _) => Key::ReservedNumber(number),
                ("reserved", Err(_), _) => Key::ReservedName(rest.to_owned()),
                (_, _, Ok(number)) => Key::Number(number),
                _ => panic!("a line of no kind: {line}"),
            };
            let text = if matches!(key, Key::Number(_)) { rest.to_owned() } else { String::new() };
            container.as_mut().expect("a line belongs to a message or enum").insert(key, text);
        }
        schema
    }

    /// How this schema breaks clients that were built from the locked one.
    fn breaks(&self, locked: &Self) -> Vec<String> {
        let mut breaks = Vec::new();
        for (container, items) in &locked.containers {
            let Some(now) = self.containers.get(container) else {
                breaks.push(format!("{container} is gone"));
                continue;
            };
            for (key, was) in items {
                match (key, now.get(key)) {
                    (_, Some(is)) if is == was => {}
                    (Key::Number(number), Some(is)) => {
                        breaks.push(format!("{container}, {number}: `{was}` became `{is}`"));
                    }
                    (Key::Number(number), None) => {
                        let name = Key::ReservedName(name_in(was).to_owned());
                        if !now.contains_key(&Key::ReservedNumber(*number)) || !now.contains_key(&name) {
                            breaks.push(format!("{container}, {number}: `{was}` is gone and not reserved"));
                        }
                    }
                    (Key::ReservedNumber(number), _) => {
                        breaks.push(format!("{container}: {number} is no longer reserved"));
                    }
                    (Key::ReservedName(name), _) => breaks.push(format!("{container}: {name} is no longer reserved")),
                }
            }
        }
        breaks
    }

    /// What this schema has and the locked one has not.
    fn news(&self, locked: &Self) -> Vec<String> {
        let mut news = Vec::new();
        for (container, items) in &self.containers {
            let old = locked.containers.get(container);
            if old.is_none() && items.is_empty() {
                news.push(container.clone());
            }
            for (key, text) in items.iter().filter(|(key, _)| old.is_none_or(|old| !old.contains_key(key))) {
                news.push(match key {
                    Key::Number(number) => format!("{container}, {number}: `{text}`"),
                    Key::ReservedNumber(number) => format!("{container}: {number} is reserved"),
                    Key::ReservedName(name) => format!("{container}: {name} is reserved"),
                });
            }
        }
        news
    }

    fn add_message(&mut self, package: &str, outer: &str, message: &DescriptorProto) {
        let name = format!("{outer}{}", message.name());
        let inner = format!("{name}.");
        let maps: BTreeMap<String, &DescriptorProto> = message
            .nested_type
            .iter()
            .filter(|nested| nested.options.as_ref().is_some_and(|options| options.map_entry()))
            .map(|nested| (format!("{package}{inner}{}", nested.name()), nested))
            .collect();
        let mut items = BTreeMap::new();
        for field in &message.field {
            items.insert(Key::Number(field.number()), field_text(package, message, field, &maps));
        }
        for range in &message.reserved_range {
            items.extend((range.start()..range.end()).map(|number| (Key::ReservedNumber(number), String::new())));
        }
        items.extend(message.reserved_name.iter().map(|name| (Key::ReservedName(name.clone()), String::new())));
        self.containers.insert(format!("message {name}"), items);
        for nested in &message.nested_type {
            if !maps.contains_key(&format!("{package}{inner}{}", nested.name())) {
                self.add_message(package, &inner, nested);
            }
        }
        for declaration in &message.enum_type {
            self.add_enum(&inner, declaration);
        }
    }

    fn add_enum(&mut self, outer: &str, declaration: &EnumDescriptorProto) {
        let mut items = BTreeMap::new();
        for value in &declaration.value {
            let before = items.insert(Key::Number(value.number()), value.name().to_owned());
            assert_eq!(before, None, "{}: two names of one number are not used here", declaration.name());
        }
        for range in &declaration.reserved_range {
            // Unlike a message's, the range of an enum has its end in it.
            items.extend((range.start()..=range.end()).map(|number| (Key::ReservedNumber(number), String::new())));
        }
        items.extend(declaration.reserved_name.iter().map(|name| (Key::ReservedName(name.clone()), String::new())));
        self.containers.insert(format!("enum {outer}{}", declaration.name()), items);
    }
}

/// Name, label and type; what JSON calls it, where that is something else; and its `oneof`.
fn field_text(
    package: &str,
    message: &DescriptorProto,
    field: &FieldDescriptorProto,
    maps: &BTreeMap<String, &DescriptorProto>,
) -> String {
    let kind = match maps.get(field.type_name()) {
        Some(map) => format!("map<{}, {}>", type_of(package, &map.field[0]), type_of(package, &map.field[1])),
        None if field.label() == Label::Repeated => format!("repeated {}", type_of(package, field)),
        None if field.proto3_optional() => format!("optional {}", type_of(package, field)),
        None => type_of(package, field),
    };
    let mut text = format!("{}: {kind}", field.name());
    if field.json_name() != field.name() {
        let _ = write!(text, ", JSON {}", field.json_name());
    }
    if let Some(index) = field.oneof_index.filter(|_| !field.proto3_optional()) {
        let _ = write!(text, ", one of {}", message.oneof_decl[index as usize].name());
    }
    text
}

fn type_of(package: &str, field: &FieldDescriptorProto) -> String {
    let name = field.type_name();
    let name = name.strip_prefix(package).unwrap_or(name);
    match field.r#type() {
        Type::Enum => format!("enum {name}"),
        Type::Message => name.to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_ascii_lowercase(),
    }
}

/// The name in a field's or a value's text.
fn name_in(text: &str) -> &str {
    text.split(':').next().unwrap_or(text)
}

impl std::fmt::Display for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (container, items) in &self.containers {
            writeln!(f, "\n{container}")?;
            for (key, text) in items {
                match key {
                    Key::Number(number) => writeln!(f, "  {number} {text}")?,
                    Key::ReservedNumber(number) => writeln!(f, "  reserved {number}")?,
                    Key::ReservedName(name) => writeln!(f, "  reserved {name}")?,
                }
            }
        }
        Ok(())
    }
}
