use clap::ArgAction;

use super::*;

fn read(text: &str) -> Result<Script, ScriptError> {
    with(text, &[], "")
}

/// With these runs alone, and this said on the command line.
fn with(text: &str, only: &[&str], line: &str) -> Result<Script, ScriptError> {
    let only: Vec<_> = only.iter().map(|name| (*name).to_owned()).collect();
    let command = Common::augment_args(Command::new("run")).no_binary_name(true);
    let matches = command.try_get_matches_from(line.split(' ').filter(|word| !word.is_empty())).unwrap();
    Script::parse(Path::new("a.toml"), text, &only, &said(&matches))
}

fn wrong(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

/// A value of the file's form that an argument accepts.
fn some_value(arg: &Arg) -> String {
    if value::is_flag(arg) {
        return "true".into();
    }
    let possible = arg.get_possible_values();
    let text = match (possible.first(), arg.get_default_values().first()) {
        (Some(value), _) => value.get_name().to_owned(),
        (None, Some(value)) => value.to_string_lossy().into_owned(),
        (None, None) => "1".into(),
    };
    let text = if text.parse::<f64>().is_ok() { text } else { format!("\"{text}\"") };
    let is_path = ["json", "report", "admin"].contains(&name(arg));
    let text = if is_path { format!("\"{}\"", name(arg)) } else { text };
    if matches!(arg.get_action(), ArgAction::Append) { format!("[{text}]") } else { text }
}

#[test]
fn every_argument_of_every_scenario_can_be_said_in_a_file() {
    let commands = scenarios();
    for scenario in commands.get_subcommands() {
        let arguments: Vec<_> = scenario.get_arguments().collect();
        assert!(arguments.len() > 10, "{}", scenario.get_name());
        let lines: Vec<_> = arguments.iter().map(|arg| format!("{} = {}", name(arg), some_value(arg))).collect();
        let text = format!("[[run]]\nscenario = \"{}\"\n{}\n", scenario.get_name(), lines.join("\n"));
        let script = read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        // And has been: on a command line that is made of it each is set.
        let file: toml::Table = toml::from_str(&text).unwrap();
        let run = &file["run"].as_array().unwrap()[0];
        let words = arguments.iter().flat_map(|arg| words(arg, &run[name(arg)]).unwrap());
        let line = ["loadtest".into(), scenario.get_name().into()].into_iter().chain(words);
        let matches = commands.clone().try_get_matches_from(line).unwrap();
        let matches = matches.subcommand_matches(scenario.get_name()).unwrap();
        for arg in &arguments {
            assert_eq!(matches.value_source(arg.get_id().as_str()), Some(ValueSource::CommandLine), "{}", name(arg));
        }
        assert_eq!(script.entries[0].settings, settings(scenario.get_name(), matches));
    }
}

#[test]
fn no_argument_is_called_as_what_a_run_has_of_its_own() {
    for scenario in scenarios().get_subcommands() {
        assert!(!scenario.get_arguments().any(|arg| OWN.contains(&name(arg))), "{}", scenario.get_name());
    }
}

#[test]
fn runs_are_played_in_their_order_with_what_they_say_and_else_by_default() {
    let script = read(
        "[common]\nseconds = 7\nseed = 3\n\
         [[run]]\nname = \"late\"\nscenario = \"concert\"\nlisteners = 50\nseconds = 9.5\n\
         [[run]]\nscenario = \"hostile\"\nkinds = [\"text\", \"random\"]\nquiet = true\n",
    )
    .unwrap();
    let [late, hostile] = &script.entries[..] else { panic!("{script:?}") };
    assert_eq!((&late.name[..], &hostile.name[..]), ("late", "hostile"));
    let Scenario::Concert(concert) = &late.scenario else { panic!("{late:?}") };
    assert_eq!((concert.listeners, concert.players, concert.common.seconds), (50, 10, 9.5));
    assert_eq!((concert.common.seed, concert.common.quiet), (3, false));
    assert_eq!((&late.settings["listeners"][..], &late.settings["rate"][..]), ("50", "20"));
    let Scenario::Hostile(hostile) = &hostile.scenario else { panic!("{hostile:?}") };
    assert_eq!((hostile.kinds.len(), hostile.common.seconds, hostile.common.quiet), (2, 7.0, true));
}

#[test]
fn what_the_command_line_says_wins_over_the_file() {
    let text = "[common]\nurl = \"ws://127.0.0.1:1\"\nseconds = 7\n[[run]]\nscenario = \"band\"\njson = \"own.json\"\npid = 1\n";
    let script = with(text, &[], "--url ws://127.0.0.1:2 --pid 2 --json said.json --report said.html --quiet").unwrap();
    let common = script.entries[0].scenario.common();
    assert_eq!((&common.url[..], common.pid, common.quiet), ("ws://127.0.0.1:2", Some(2), true));
    assert_eq!(common.json.as_deref(), Some(Path::new("said.json")));
    assert_eq!(common.report.as_deref(), Some(Path::new("said.html")));
    assert_eq!(common.seconds, 7.0, "it was not said: what it is by default does not win");
}

#[test]
fn where_several_runs_write_to_a_file_each_has_its_own() {
    let text = "[common]\nreport = \"out/page.v2.html\"\n[[run]]\nscenario = \"band\"\n[[run]]\nscenario = \"idle\"\nreport = \"idle.html\"\n";
    let paths = |script: &Script| -> Vec<_> {
        let common = script.entries.iter().map(|entry| entry.scenario.common());
        common.map(|common| (common.json.clone().unwrap_or_default(), common.report.clone().unwrap())).collect()
    };
    let both = with(text, &[], "--json all").unwrap();
    let path = PathBuf::from;
    assert_eq!(
        paths(&both),
        [(path("all.band"), path("out/page.v2.band.html")), (path("all.idle"), path("idle.html"))]
    );
    let one = with(text, &["band"], "--json all").unwrap();
    assert_eq!(paths(&one), [(path("all"), path("out/page.v2.html"))]);
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_with_what_would_be_right() {
    for (text, words) in [
        ("[[run]]\nscenario = \"band\"\nroms = 5\n", &["a.toml:3: `roms`", "rooms"][..]),
        ("[common]\n\nrooms = 5\n[[run]]\nscenario = \"band\"\n", &["a.toml:3: `rooms`", "common", "seconds"]),
        ("[[run]]\nscenario = \"bund\"\n", &["a.toml:2:", "`bund`", "band", "hostile"]),
        ("\n[[run]]\nrooms = 5\n", &["a.toml:2:", "`scenario`", "concert"]),
        ("[[run]]\nscenario = 5\n", &["a.toml:2:", "`scenario`", "text"]),
        ("[[run]]\nscenario = \"band\"\nrooms = 0\n", &["a.toml:3: `rooms`", " 0", "1..=60000", "NUMBER: Rooms [50]"]),
        ("[[run]]\nscenario = \"band\"\nrooms = 1.5\n", &["a.toml:3: `rooms`", "1.5", "NUMBER: Rooms [50]"]),
        ("[[run]]\nscenario = \"band\"\nrate = \"x\"\n", &["a.toml:3: `rate`", "a number of notes a second", "[5]"]),
        ("[[run]]\nscenario = \"band\"\nrooms = [1, 2]\n", &["a.toml:3: `rooms` takes NUMBER"]),
        ("[[run]]\nscenario = \"band\"\nquiet = 1\n", &["a.toml:3: `quiet` takes true or false"]),
        ("[[run]]\nscenario = \"band\"\nrooms = true\n", &["a.toml:3: `rooms` takes NUMBER"]),
        (
            "[[run]]\nscenario = \"hostile\"\nkinds = [\"text\", \"texts\"]\n",
            &["a.toml:3: `kinds`", "random", "a list of"],
        ),
        ("[[run]]\nscenario = \"band\"\nhelp = true\n", &["a.toml:3: `help`"]),
        ("[[run]]\nscenario = \"band\"\nname = \"a/b\"\n", &["a.toml:3: `a/b`", "letters"]),
        ("[[run]]\nscenario = \"band\"\n[[run]]\nscenario = \"band\"\n", &["a.toml:4:", "`band`", "`name`"]),
        (
            "[[run]]\nscenario = \"band\"\njson = \"x\"\n[[run]]\nscenario = \"idle\"\njson = \"x\"\n",
            &["a.toml:5:", " x ", "already"],
        ),
        ("[[runs]]\nscenario = \"band\"\n", &["a.toml", "runs", "common"]),
        ("[[run]\n", &["a.toml", "line 1"]),
        ("", &["a.toml", "[[run]]"]),
    ] {
        let told = wrong(text);
        assert!(words.iter().all(|word| told.contains(word)), "{told}\n{words:?}");
    }
    let error = with("[[run]]\nscenario = \"band\"\n", &["idle"], "").unwrap_err().to_string();
    assert!(error.contains("`idle`") && error.contains("band"), "{error}");
}

#[test]
fn all_files_that_are_shipped_can_be_played() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut seen = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let script = Script::parse(&path, &fs::read_to_string(&path).unwrap(), &[], &BTreeMap::new());
        script.unwrap_or_else(|error| panic!("{error}"));
        seen += 1;
    }
    assert!(seen >= 8, "{seen}");
}
