//! Files of runs, played on a real server.

use std::{ffi::OsString, fs, path::Path};

use pianorhythm_loadtest::{
    cli::{self, Exit},
    outcome::Outcome,
};
use pianorhythm_server::{config::Config, server::run::Server};

/// A server that ends with the test.
struct TestServer {
    server: Option<Server>,
    folder: tempfile::TempDir,
}

impl TestServer {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.server.data_dir = folder.path().join("data");
        config.server.shards = Some(2);
        config.http.host = [127, 0, 0, 1].into();
        config.http.port = 0;
        config.http.admin_bind = Some(([127, 0, 0, 1], 0).into());
        Self { server: Some(Server::start(&config).unwrap()), folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

fn run(words: &[&str]) -> Exit {
    cli::main(["loadtest"].iter().chain(words).map(OsString::from))
}

#[test]
fn the_runs_of_a_file_are_played_on_a_server_and_their_results_compare() {
    let server = TestServer::start();
    let running = server.server.as_ref().unwrap();
    let (url, admin) = (format!("ws://{}", running.local_addr()), running.admin_addr().unwrap().to_string());
    let pid = std::process::id().to_string();
    let file = server.path("runs.toml");
    let runs = "[common]\nurl = \"ws://127.0.0.1:1\"\nseconds = 2\nwarm-up = 0.5\nquiet = true\n\
                [[run]]\nname = \"small\"\nscenario = \"band\"\nrooms = 3\nmembers = 4\nrate = 10\n\
                [[run]]\nscenario = \"idle\"\nconnections = 20\nmembers = 5\nwithin = 60\n";
    fs::write(&file, runs).unwrap();
    let (json, page) = (server.path("result.json"), server.path("page.html"));
    let line = ["run", &file, "--url", &url, "--admin", &admin, "--pid", &pid, "--json", &json, "--report", &page];
    assert_eq!(run(&line), Exit::Passed);

    let (small, idle) = (server.path("result.small.json"), server.path("result.idle.json"));
    let outcome = Outcome::read(Path::new(&small)).unwrap();
    assert_eq!((outcome.title(), &outcome.scenario[..]), ("small", "band"));
    let set = |name: &str| outcome.settings.get(name).map(String::as_str);
    assert_eq!([set("rooms"), set("members"), set("rate"), set("seconds")], ["3", "4", "10", "2"].map(Some));
    assert_eq!(outcome.notes.arrived, 3 * 4 * 3 * 25, "{:?}", outcome.notes);
    assert!(outcome.timeline.iter().any(|second| second.shards.len() == 2), "{:?}", outcome.timeline);
    let idle_outcome = Outcome::read(Path::new(&idle)).unwrap();
    assert_eq!((idle_outcome.title(), idle_outcome.connections), ("idle", 20));

    let html = fs::read_to_string(server.path("page.small.html")).unwrap();
    for word in ["small", "shard 1", "Latency over time", "Notes delivered", "Processor time", "Use of each shard"] {
        assert!(html.contains(word), "{word} is missing");
    }
    assert!(fs::exists(server.path("page.idle.html")).unwrap());

    // With itself nothing is worse; what another file says otherwise is told.
    assert_eq!(run(&["compare", &small, &small]), Exit::Passed);
    let other = server.path("other.toml");
    fs::write(&other, runs.replace("rate = 10", "rate = 5")).unwrap();
    let again = server.path("again.json");
    assert_eq!(run(&["run", &other, "--url", &url, "--only", "small", "--json", &again]), Exit::Passed);
    let again = Outcome::read(Path::new(&again)).unwrap();
    let remarks = pianorhythm_loadtest::compare::compare(&outcome, &again, 1000.0).remarks;
    assert_eq!(remarks, ["different settings: rate is 10 and 5"]);
}

#[test]
fn a_wrong_file_is_told_before_anything_is_played() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    // The first run would find no server.
    fs::write(path("a.toml"), "[[run]]\nscenario = \"band\"\n[[run]]\nscenario = \"idle\"\nseconds = 0\n").unwrap();
    assert_eq!(run(&["run", &path("a.toml"), "--url", "ws://127.0.0.1:1"]), Exit::Usage);
    assert_eq!(run(&["run", &path("none.toml")]), Exit::Impossible);
    fs::write(path("a.toml"), "[[run]]\nscenario = \"band\"\n").unwrap();
    assert_eq!(run(&["run", &path("a.toml"), "--url", "ws://127.0.0.1:1", "--quiet"]), Exit::Impossible);
}
