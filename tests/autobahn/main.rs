//! The shards' WebSocket code, as `examples/echo` has it, before the Autobahn fuzzing client.

#![cfg(feature = "server")]

#[path = "../support/example.rs"]
mod example;

use std::{
    env,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

/// What has to be the case for the suite to be set up; without it nothing is tested.
fn has_python() -> bool {
    let check = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))";
    let mut python = Command::new(env::var("PYTHON").unwrap_or_else(|_| "python3".into()));
    python.args(["-c", check]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn the_fuzzing_client_finds_nothing_failed_and_nothing_non_strict() {
    if !has_python() {
        let missing = "Python 3.10 or later with venv is not installed: ./tools/test installs it";
        assert!(env::var("REQUIRE_SERVICES").as_deref() != Ok("1"), "{missing}");
        // Not by `eprintln!`, which the test harness keeps to itself when a test passes.
        let _ = writeln!(std::io::stderr(), "autobahn is skipped: {missing}");
        return;
    }
    let echo = example::Echo::start(&[]);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let report = target.join("autobahn-report");
    let client = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/autobahn/run.sh"))
        .arg(format!("ws://{}", echo.address))
        .arg(&report)
        .env("AUTOBAHN_WORK", target.join("autobahn"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&client.stdout);
    let all = format!("{said}{}\nsee {}", String::from_utf8_lossy(&client.stderr), report.display());
    assert!(client.status.success(), "{}: {all}", client.status);
    assert!(said.starts_with("301 of 301 cases run "), "{all}");
    assert_eq!(said.lines().last(), Some("298 ok, 0 non-strict, 3 informational, 0 failed"), "{all}");
}
