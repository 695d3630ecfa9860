use std::{collections::HashSet, fs, path::Path};

use super::*;
use crate::{domain::bucket::Rate, http::auth::SigningKey};

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn flag(key: &str, value: &str) -> Flag {
    Flag { flag: format!("--{}", key.replace('_', "-")), key: key.into(), value: value.into() }
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn load_file(text: &str) -> Result<Loaded, ConfigError> {
    let (_folder, path) = file(text);
    load(&Sources { file: Some(path), ..Sources::default() })
}

fn load_environment(pairs: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    load(&Sources { environment: variables(pairs), ..Sources::default() })
}

fn only_problem(result: Result<Loaded, ConfigError>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.problems.len(), 1, "{error}");
    error.to_string()
}

fn source_of<'a>(loaded: &'a Loaded, key: &str) -> &'a str {
    &loaded.values.iter().find(|value| value.setting.key == key).unwrap().source
}

#[test]
fn each_layer_overrides_the_ones_below_and_says_that_it_did() {
    let (_folder, path) = file("profile = 'production'\nport = 1\nshards = 1\nmax_connections = 5\n");
    let sources = Sources {
        file: Some(path.clone()),
        environment: variables(&[("PORT", "2"), ("SHARDS", "2"), ("UNRELATED", "x")]),
        flags: vec![flag("shards", "3")],
    };
    let loaded = load(&sources).unwrap();
    let Config { server, http, .. } = &loaded.config;
    assert_eq!((server.shards, http.port, http.max_connections), (Some(3), 2, 5));
    assert_eq!(server.log_format, LogFormat::Json, "the file's profile counts");
    assert_eq!(source_of(&loaded, "shards"), "--shards");
    assert_eq!(source_of(&loaded, "port"), "environment variable PORT");
    assert_eq!(source_of(&loaded, "max_connections"), path.display().to_string());
    assert_eq!(source_of(&loaded, "log_format"), "profile production");
    assert_eq!(source_of(&loaded, "host"), "default");
    assert_eq!(loaded.warnings, [] as [&str; 0]);
}

#[test]
fn the_profile_of_a_higher_layer_decides_about_the_defaults() {
    let (_folder, path) = file("profile = 'production'\n");
    let environment = variables(&[("PROFILE", "development")]);
    let loaded = load(&Sources { file: Some(path), environment, ..Sources::default() }).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert!(!loaded.config.http.secure_cookies);
    let staging = load_environment(&[("PROFILE", "staging")]).unwrap().config;
    assert!(staging.http.secure_cookies);
}

#[test]
fn a_key_has_one_row_whose_default_is_in_its_range_and_whose_description_is_a_sentence() {
    let mut keys = HashSet::new();
    for setting in TABLE {
        assert!(keys.insert(setting.key), "{} stands twice", setting.key);
        assert!(setting.key.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", setting.key);
        assert!(setting.doc.ends_with('.') && !setting.doc.starts_with(' '), "{}: {:?}", setting.key, setting.doc);
        for profile in Profile::ALL {
            let (value, _) = setting.default_under(*profile);
            (setting.to_toml)(setting, value).unwrap_or_else(|wanted| panic!("{}: {wanted}", setting.key));
        }
    }
}

#[test]
fn an_unknown_key_is_an_error_that_names_the_file_and_the_nearest_key() {
    let (_folder, path) = file("max_conections = 5\n");
    let problem = only_problem(load(&Sources { file: Some(path.clone()), ..Sources::default() }));
    let wanted =
        format!("`max_conections` ({}) is not a setting; the nearest that is: `max_connections`", path.display());
    assert_eq!(problem, wanted);
    for wrong in ["PORT = 1", "Port = 1", "jwt_private_key_files = 'x'", "port_file = 'x'"] {
        assert!(only_problem(load_file(wrong)).contains("is not a setting"), "{wrong}");
    }
    let problem = only_problem(load(&Sources { flags: vec![flag("shard", "1")], ..Sources::default() }));
    assert_eq!(problem, "`shard` (--shard) is not a setting; the nearest that is: `shards`");
}

#[test]
fn a_variable_that_is_nearly_a_setting_is_a_warning_and_others_are_left_alone() {
    let near = load_environment(&[("MAX_CONECTIONS", "5"), ("OUTBOX_SHED_BYTE", "5")]).unwrap();
    assert_eq!(near.warnings.len(), 2);
    assert!(near.warnings[0].contains("MAX_CONECTIONS") && near.warnings[0].contains("is MAX_CONNECTIONS meant?"));
    let others =
        [("PATH", "/bin"), ("HOSTS", "x"), ("POST", "1"), ("LOGS", "x"), ("max_conections", "1"), ("LANG", "C")];
    assert_eq!(load_environment(&others).unwrap().warnings, [] as [&str; 0]);
}

#[test]
fn a_bad_value_is_named_with_its_key_its_source_and_what_it_could_be() {
    let problem = only_problem(load_environment(&[("PORT", "65536")]));
    assert_eq!(problem, "`port = 65536` (environment variable PORT) cannot be: port is a whole number from 0 to 65535");
    for (name, value, wanted) in [
        ("SHARDS", "0", "`auto`, or a whole number from 1 to 1024"),
        ("SHARDS", "many", "`auto`, or a whole number from 1 to 1024"),
        ("GRACE_TIME_MS", "-1", "a whole number of milliseconds from 100 to 600000"),
        ("GUEST_TOKEN_DAYS", "0", "a whole number of days from 1 to 3650"),
        ("LOG_FORMAT", "xml", "one of `text`, `json`"),
        ("PROFILE", "prod", "one of `development`, `staging`, `production`"),
        ("ALLOW_GUESTS", "yes", "one of `true`, `false`"),
        ("HOST", "localhost", "an IP address, such as 127.0.0.1"),
        ("ADMIN_BIND", "9090", "`off`, or an IP address and port"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, 10.0.0.0/33", "which `10.0.0.0/33` is not"),
        ("ALLOWED_ORIGINS", "https://piano.example/path", "which `https://piano.example/path` is not"),
        ("ALLOWED_ORIGINS", "*", "which `*` is not"),
        ("RATE_CHAT", "5 a second", "a rate is written as `2/s burst 10`"),
        ("RATE_CHAT", "1/s burst 1, 2/s burst 2", "three for guests, members and staff"),
        ("RATE_CHAT", "1/0s burst 1", "a rate is written as"),
        ("LOG", "a=b=c", "a level (error, warn, info, debug, trace) or a filter"),
    ] {
        let problem = only_problem(load_environment(&[(name, value)]));
        assert!(problem.contains(wanted), "{problem}");
        assert!(problem.contains(&format!("environment variable {name}")), "{problem}");
    }
    for text in ["port = 8080.5", "port = true", "port = ''", "data_dir = ''", "host = ['127.0.0.1', '::1']"] {
        assert!(only_problem(load_file(text)).contains("cannot be"), "{text}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let error = load_file("prt = 1\nshards = 0\nlog_format = 'xml'\n").unwrap_err();
    assert_eq!(error.problems.len(), 3, "{error}");
    assert_eq!(error.to_string().lines().count(), 3);
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let problem = only_problem(load_environment(&[("DEFAULT_ROOM_CAPACITY", "101")]));
    assert!(problem.contains("max_room_capacity is 100"), "{problem}");
    assert!(only_problem(load_environment(&[("OUTBOX_CLOSE_BYTES", "16384")])).contains("outbox_shed_bytes"));
    assert!(only_problem(load_environment(&[("OUTBOX_CLOSE_AGE_MS", "10")])).contains("outbox_shed_age_ms"));
    assert!(only_problem(load_environment(&[("PORT", "9090")])).contains("host and port"));
    load_environment(&[("PORT", "0"), ("ADMIN_BIND", "127.0.0.1:0")]).unwrap();
}

#[test]
fn lists_are_arrays_in_a_file_and_separated_by_commas_in_the_environment() {
    let from_file = load_file("trusted_proxies = ['10.0.0.0/8', '::1']\nallowed_origins = []\n").unwrap();
    let from_environment =
        load_environment(&[("TRUSTED_PROXIES", "10.0.0.0/8, ::1"), ("ALLOWED_ORIGINS", "none")]).unwrap();
    assert_eq!(from_file.config, from_environment.config);
    assert_eq!(from_file.config.http.trusted_proxies.len(), 2);
    assert!(load_environment(&[("TRUSTED_PROXIES", "none")]).unwrap().config.http.trusted_proxies.is_empty());
}

#[test]
fn a_rate_is_one_for_all_or_one_for_each_role() {
    let rates =
        load_environment(&[("RATE_CHAT", "unlimited"), ("RATE_QUERY", "1/500ms burst 7")]).unwrap().config.rates;
    assert_eq!((rates.chat.guest, rates.chat.staff), (Rate::UNLIMITED, Rate::UNLIMITED));
    assert_eq!(rates.query.member, Rate { capacity: 7, refill: 1, period_ms: 500 });
    let rates = load_file("rate_chat = ['1/s burst 2', '3/2s burst 4', 'unlimited']").unwrap().config.rates;
    assert_eq!(rates.chat.guest, Rate::per_second(1, 2));
    assert_eq!(rates.chat.member, Rate { capacity: 4, refill: 3, period_ms: 2000 });
}

#[test]
fn a_pace_is_one_for_all_and_lets_somebody_in() {
    let pace = |text| load_environment(&[("CONNECT_RATE_PER_ADDRESS", text)]).map(|loaded| loaded.config);
    assert_eq!(
        pace("3/2s burst 4").unwrap().http.connect_rate_per_address,
        Rate { capacity: 4, refill: 3, period_ms: 2000 }
    );
    assert_eq!(pace("unlimited").unwrap().http.connect_rate_per_address, Rate::UNLIMITED);
    assert_eq!(pace("5/s burst 9").unwrap().front_desk().pace_by_address, Rate::per_second(5, 9));
    for none in ["0/s burst 5", "5/s burst 0", "5", "['1/s burst 2', '1/s burst 2', '1/s burst 2']"] {
        assert!(
            only_problem(load_environment(&[("CONNECT_RATE_PER_ADDRESS", none)])).contains("connect_rate_per_address"),
            "{none}"
        );
    }
}

#[test]
fn words_stand_for_what_is_not_there() {
    let config = load_environment(&[("ADMIN_BIND", "off"), ("SHARDS", "auto"), ("HOST", "")]).unwrap().config;
    assert_eq!((config.http.admin_bind, config.server.shards), (None, None));
    assert_eq!(config.http.host, Config::default().http.host, "an empty variable counts as unset");
}

#[test]
fn a_file_that_is_absent_malformed_or_has_sections_is_told_with_its_path() {
    let absent = load(&Sources { file: Some("/no/such.toml".into()), ..Sources::default() });
    assert!(only_problem(absent).starts_with("cannot read the configuration file /no/such.toml: "));
    let malformed = only_problem(load_file("port = = 1"));
    assert!(malformed.contains("server.toml is not TOML") && malformed.contains("line 1"), "{malformed}");
    assert!(only_problem(load_file("[http]\nport = 1\n")).contains("without sections"));
}

#[test]
fn a_secret_comes_from_a_variable_a_file_named_in_one_or_a_file_named_in_the_configuration() {
    let key = SigningKey::generate().unwrap().to_pem();
    let (_folder, secret) = file(&format!("{key}\n\n"));
    let path = secret.to_str().unwrap();
    let key_of = |loaded: Loaded| loaded.config.http.jwt_private_key.unwrap().reveal().trim_end().to_owned();
    let key = key.trim_end();

    assert_eq!(key_of(load_environment(&[("JWT_PRIVATE_KEY", key)]).unwrap()), key);
    let by_variable = load_environment(&[("JWT_PRIVATE_KEY_FILE", path)]).unwrap();
    assert_eq!(source_of(&by_variable, "jwt_private_key"), format!("file {path} (JWT_PRIVATE_KEY_FILE)"));
    assert_eq!(key_of(by_variable), key);
    assert_eq!(key_of(load_file(&format!("jwt_private_key_file = '{path}'")).unwrap()), key);

    let twice = only_problem(load_environment(&[("JWT_PRIVATE_KEY", "a"), ("JWT_PRIVATE_KEY_FILE", path)]));
    assert!(twice.contains("choose one"), "{twice}");
    let absent = only_problem(load_environment(&[("JWT_PRIVATE_KEY_FILE", "/no/such")]));
    assert!(absent.starts_with("cannot read JWT_PRIVATE_KEY_FILE's file /no/such: "), "{absent}");
    let shown = only_problem(load(&Sources { flags: vec![flag("jwt_private_key", "a")], ..Sources::default() }));
    assert!(shown.contains("others can read a command line"), "{shown}");
}

#[test]
fn a_secret_is_shown_nowhere() {
    let key = SigningKey::generate().unwrap().to_pem();
    let loaded = load_environment(&[("JWT_PRIVATE_KEY", &key)]).unwrap();
    for text in [format!("{loaded:?}"), print(&loaded, false), print(&loaded, true)] {
        assert!(!text.contains("PRIVATE KEY") && !text.contains(key.lines().nth(1).unwrap()), "{text}");
    }
    let problem = only_problem(load_environment(&[("JWT_PRIVATE_KEY", "hush")]));
    assert!(problem.contains("PKCS#8") && !problem.contains("hush"), "{problem}");
    assert!(print(&loaded, false).contains("# jwt_private_key = \"********\""));
}

#[test]
fn what_is_printed_is_a_file_that_gives_the_same_configuration() {
    let environment = [
        ("PROFILE", "production"),
        ("SHARDS", "3"),
        ("ADMIN_BIND", "off"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,::1"),
        ("ALLOWED_ORIGINS", "https://piano.example,http://localhost:3000"),
        ("RATE_CHAT", "1/s burst 2, 3/1500ms burst 4, unlimited"),
        ("DATA_DIR", "a \"quoted\" \\ folder\nwith a line"),
    ];
    let loaded = load_environment(&environment).unwrap();
    for explain in [false, true] {
        let printed = print(&loaded, explain);
        let again = load_file(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
        assert_eq!(again.config, loaded.config, "{printed}");
    }
    let printed = print(&loaded, false);
    assert!(printed.contains("# environment variable SHARDS"), "{printed}");
    assert!(printed.lines().filter(|line| line.contains(" = ")).count() >= TABLE.len() - 1);
}

#[test]
fn every_file_of_the_config_folder_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut loaded = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        load(&Sources { file: Some(path.clone()), ..Sources::default() }).unwrap_or_else(|error| panic!("{error}"));
        loaded += 1;
    }
    assert!(loaded >= 1);
}

#[test]
fn the_load_profile_lifts_what_limits_one_address() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/load.toml");
    let lifted = load(&Sources { file: Some(path), ..Sources::default() }).unwrap().config;
    let usual = Config::default();
    assert!(lifted.http.max_connections_per_address >= lifted.http.max_connections);
    assert!(lifted.http.max_connections > usual.http.max_connections);
    assert_eq!(lifted.http.connect_rate_per_address, Rate::UNLIMITED);
    assert!(lifted.rooms.max_room_capacity > usual.rooms.max_room_capacity);
    assert_eq!(lifted.http.host, usual.http.host, "it is for loopback");
    for rates in [&lifted.rate_limits().guest, &lifted.rate_limits().staff] {
        assert_eq!((rates.midi, rates.room_request), (Rate::UNLIMITED, Rate::UNLIMITED));
    }
    assert!(lifted.quotas().guests.lobby.refill > 1_000_000);
}
