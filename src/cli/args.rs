//! The shape of the command line, and its help.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{
    Args, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::config::{self, Flag, Sources};

const ABOUT: &str = "A real-time server for playing piano together";

const LONG_ABOUT: &str = "\
A real-time server for playing piano together: people meet in rooms from their browsers and hear each other play.

Without a command it serves. It needs nothing else to run: what it keeps (keys, saved rooms, chat) goes to one data \
folder, ./data unless DATA_DIR or --data-dir says otherwise, which one server at a time owns.

Settings come from these places, later ones winning: defaults, the profile's defaults, the file of --config, the \
environment, the command line. A file's keys in capitals are the names in the environment: `port = 9000` is \
PORT=9000. `print-config` lists them all.";

const EXAMPLES: &str = "\
Examples:
  pianorhythm-server
      Serve on http://127.0.0.1:8080, for this machine alone.
  pianorhythm-server --host 0.0.0.0 --port 9000 --data-dir /var/lib/pianorhythm
      Serve on all networks, and keep things elsewhere.
  pianorhythm-server print-config --explain > server.toml
      Make a file of all settings to start from ...
  pianorhythm-server --config server.toml
      ... and serve with it.
  pianorhythm-server --config server.toml check-config && echo good
      See whether a file can be used, before a restart.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "pianorhythm-server", version, about = ABOUT, long_about = LONG_ABOUT, after_help = EXAMPLES)]
#[command(max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// Settings that were given as flags, and where the others are.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// What to do; without one, serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Where settings come from. Values are read by the configuration, which knows what they may be.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Settings")]
pub struct SettingsArgs {
    /// A TOML file of settings, one `key = value` a line
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The address to listen on: 127.0.0.1 for this machine alone, 0.0.0.0 for all networks
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// The port to listen on; 0 lets the system choose one
    #[arg(long, global = true, value_name = "PORT")]
    pub port: Option<String>,
    /// The folder that holds what the server keeps
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data_dir: Option<String>,
    /// How many shards to run, each a thread pinned to a core, or `auto`
    #[arg(long, global = true, value_name = "NUMBER")]
    pub shards: Option<String>,
    /// Any other setting, by the name that print-config gives it; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub set: Vec<(String, String)>,
}

impl SettingsArgs {
    /// What the configuration is read from.
    pub fn sources(self, environment: Vec<(String, String)>) -> Sources {
        let plain = [("host", self.host), ("port", self.port), ("data_dir", self.data_dir), ("shards", self.shards)];
        let plain = plain.into_iter().filter_map(|(key, value)| {
            Some(Flag { flag: format!("--{}", key.replace('_', "-")), key: key.into(), value: value? })
        });
        let set = self.set.into_iter().map(|(key, value)| Flag { flag: "--set".into(), key, value });
        Sources { file: self.config, environment, flags: plain.chain(set).collect() }
    }
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server (the default)
    ///
    /// Runs the server until SIGTERM or ctrl-c. Then it stops accepting, tells its clients to come back later, lets
    /// what is under way finish, and ends within the grace time.
    Serve,
    /// Make the key that the server signs its tokens with
    ///
    /// Makes an Ed25519 key pair in the data folder. The server makes one by itself on its first start; this is for
    /// having it before, or for a new one, which ends all sessions and makes guests strangers.
    Keygen(KeygenArgs),
    /// Sign an access token for a user
    ///
    /// Signs an access token with the server's key, from the data folder or the setting jwt_private_key, and writes
    /// it to the standard output. Whoever has the token is that user until it ends: use it for tests and operators.
    ///
    /// A native client sends it as `Authorization: Bearer TOKEN`, a browser as the cookie `access_token`.
    #[command(after_help = TOKEN_EXAMPLES)]
    Token(TokenArgs),
    /// Write everything that the server keeps to a file
    ///
    /// Writes all documents (accounts, friends, messages, rooms with their chat, bans, …) as JSON lines, from where the
    /// settings say that they are: the file in the data folder, of a server that does not run, or the MongoDB of
    /// mongodb_url. The last line says that the file is whole.
    ///
    /// What is written has the hashes of passwords in it: nobody else may read the file.
    #[command(after_help = TRANSFER_EXAMPLES)]
    Export(ExportArgs),
    /// Read everything from a file that `export` has written
    ///
    /// Reads documents into where the settings say that they are kept. It may be repeated: what is there already is passed
    /// over. A document that is there and is another ends it.
    #[command(after_help = TRANSFER_EXAMPLES)]
    Import(ImportArgs),
    /// Check the settings and say what is wrong with them
    ///
    /// Reads the settings as `serve` would and says everything that is wrong, each with its source. Exits with 0 where
    /// the server can start with them, and else with 2.
    CheckConfig,
    /// List all settings with their values and where they come from
    ///
    /// Lists all settings with their values and where they come from, secrets masked. What is printed is TOML: a file
    /// to start from.
    PrintConfig {
        /// Say above each setting what it does
        #[arg(long)]
        explain: bool,
    },
}

const TOKEN_EXAMPLES: &str = "\
Examples:
  pianorhythm-server token --sub clara --username Clara
  pianorhythm-server token --sub ops-1 --username Ops --roles member,moderator --ttl 30m";

const TRANSFER_EXAMPLES: &str = "\
Examples, from the file in the data folder to a MongoDB:
  pianorhythm-server export all.jsonl
  MONGODB_URL=mongodb://127.0.0.1/ pianorhythm-server import all.jsonl";

/// Where to.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// The file, which only its owner may read; without it, the standard output
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Where from, and what wins.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// The file; without it, the standard input
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Where a document is there already and is another, take the file's
    #[arg(long)]
    pub overwrite: bool,
}

/// How a key is made.
#[derive(Args, Debug)]
pub struct KeygenArgs {
    /// Replace the key there is: all its tokens become worthless
    #[arg(long)]
    pub force: bool,
}

/// What a token says.
#[derive(Args, Debug)]
pub struct TokenArgs {
    /// The user's id
    #[arg(long, value_name = "ID", value_parser = short_text)]
    pub sub: String,
    /// The name that others see; without it, the id
    #[arg(long, value_name = "NAME", value_parser = short_text)]
    pub username: Option<String>,
    /// What tells users of the same name apart
    #[arg(long, value_name = "TAG", default_value = "", hide_default_value = true)]
    pub usertag: String,
    /// What the user may do, separated by commas
    #[arg(long, value_name = "ROLES", value_delimiter = ',', default_value = "member")]
    #[arg(value_parser = ["member", "pro", "moderator", "admin"])]
    pub roles: Vec<String>,
    /// How long the token lasts: a number of seconds, or with a unit of s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    pub ttl: Duration,
}

/// Reads a command line; the error prints itself and knows its exit code.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments).map_err(name_the_nearest)
}

/// An unknown flag may be a setting that has no flag of its own, or be near to one: clap knows only the flags.
fn name_the_nearest(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return error };
    if error.kind() != ErrorKind::UnknownArgument || error.get(ContextKind::SuggestedArg).is_some() {
        return error;
    }
    let Some(name) = flag.strip_prefix("--") else { return error };
    let key = name.split('=').next().unwrap_or(name).replace('-', "_");
    let nearest = config::nearest(&key);
    let tip = format!("the nearest setting is `{nearest}`: `--set {nearest}=VALUE`");
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    error
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it has no `=`: write KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

fn short_text(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    if length == 0 || length > 64 || text.chars().any(char::is_control) {
        return Err("it must have 1 to 64 characters, none of them a control character".into());
    }
    Ok(text.to_owned())
}

fn time(text: &str) -> Result<Duration, String> {
    let (number, unit_s) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 60 * 60),
        Some((at, 'd')) => (&text[..at], 24 * 60 * 60),
        _ => (text, 1),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_s));
    // A hundred years are for ever, and stay far from any overflow.
    let seconds = seconds.filter(|seconds| (1..=100 * 365 * 24 * 60 * 60).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "write it as 90, 30m, 12h or 7d".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        parse(std::iter::once("pianorhythm-server").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves_and_settings_stand_before_or_after_a_command() {
        assert!(parsed("").unwrap().command.is_none());
        for line in ["--port 9000 --config a.toml check-config", "check-config --port 9000 --config a.toml"] {
            let cli = parsed(line).unwrap();
            assert!(matches!(cli.command, Some(Command::CheckConfig)));
            let sources = cli.settings.sources(Vec::new());
            assert_eq!(sources.file, Some("a.toml".into()));
            assert_eq!(sources.flags, [Flag { flag: "--port".into(), key: "port".into(), value: "9000".into() }]);
        }
    }

    #[test]
    fn any_setting_can_be_set_by_its_name() {
        let sources = parsed("serve --set max_connections=5 --set log=info,a=debug").unwrap().settings.sources(vec![]);
        let set: Vec<_> = sources.flags.iter().map(|flag| (flag.key.as_str(), flag.value.as_str())).collect();
        assert_eq!(set, [("max_connections", "5"), ("log", "info,a=debug")]);
        assert!(parsed("--set max_connections").unwrap_err().to_string().contains("KEY=VALUE"));
    }

    #[test]
    fn an_unknown_flag_is_an_error_that_names_the_nearest_flag_or_setting() {
        for (line, named) in [
            ("--prt 1", "'--port'"),
            ("serve --dta-dir x", "'--data-dir'"),
            ("--max-conn 5", "`--set max_connections=VALUE`"),
            ("--max-connections 5", "`--set max_connections=VALUE`"),
            ("serve --outbox-shed-byte=5", "`--set outbox_shed_bytes=VALUE`"),
        ] {
            let error = parsed(line).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn an_unknown_command_is_an_error_that_names_the_nearest() {
        let error = parsed("check-cofig").unwrap_err();
        assert!(error.to_string().contains("'check-config'"), "{error}");
    }

    #[test]
    fn a_token_asks_for_a_subject_and_takes_known_roles_and_readable_times() {
        let Some(Command::Token(token)) = parsed("token --sub clara --roles member,admin --ttl 7d").unwrap().command
        else {
            panic!("it is the token command")
        };
        assert_eq!(token.roles, ["member", "admin"]);
        assert_eq!(token.ttl, Duration::from_secs(7 * 24 * 60 * 60));
        for wrong in ["", "--sub ", "--sub a --roles king", "--sub a --ttl 0", "--sub a --ttl 5w", "--sub a --ttl é"] {
            assert_eq!(parsed(&format!("token {wrong}")).unwrap_err().exit_code(), 2, "{wrong}");
        }
        assert_eq!(time("90"), Ok(Duration::from_secs(90)));
        assert!(time("99999999999999999999d").is_err() && time("213503982334601d").is_err());
    }

    #[test]
    fn the_help_teaches_with_examples_and_says_where_things_are_kept() {
        let help = parsed("--help").unwrap_err().to_string();
        for taught in ["./data", "DATA_DIR", "print-config", "Examples:", "keygen", "--config <FILE>"] {
            assert!(help.contains(taught), "no {taught} in:\n{help}");
        }
    }
}
