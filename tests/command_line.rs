//! The command as its users meet it: what it prints where, and with which exit code it ends.

use std::{
    fs,
    process::{Command, Output},
};

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    // Settings of whoever runs the tests must not count.
    let mut command = Command::new(env!("CARGO_BIN_EXE_pianorhythm-server"));
    command.env_clear().envs(environment.iter().copied()).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn check_config_ends_with_0_for_a_good_configuration_and_2_for_a_bad_one() {
    let good = run(&["check-config"], &[("PORT", "0")]);
    assert_eq!((good.status.code(), stdout(&good)), (Some(0), "the configuration is valid\n"));
    let bad = run(&["check-config", "--port", "70000"], &[("SHARDS", "none")]);
    assert_eq!((bad.status.code(), stdout(&bad)), (Some(2), ""));
    assert!(stderr(&bad).contains("(--port)") && stderr(&bad).contains("environment variable SHARDS"));
}

#[test]
fn serving_with_a_bad_configuration_ends_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.toml");
    fs::write(&file, "shard = 2\n").unwrap();
    let data = folder.path().join("data");
    let output = run(&["--config", file.to_str().unwrap(), "--data-dir", data.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("the nearest that is: `shards`"), "{}", stderr(&output));
    assert!(!data.exists());
}

#[test]
fn what_print_config_prints_can_be_used_as_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.toml");
    let printed = run(&["print-config", "--explain"], &[("LOG_FORMAT", "json")]);
    assert_eq!((printed.status.code(), stderr(&printed)), (Some(0), ""));
    fs::write(&file, &printed.stdout).unwrap();
    let again = run(&["print-config", "--config", file.to_str().unwrap()], &[]);
    assert!(stdout(&again).contains("log_format = \"json\""), "{}{}", stdout(&again), stderr(&again));
}

#[test]
fn a_misspelt_variable_is_a_warning_on_the_standard_error() {
    let output = run(&["print-config"], &[("MAX_CONECTIONS", "5")]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        stderr(&output),
        "warning: the environment variable MAX_CONECTIONS is not a setting; is MAX_CONNECTIONS meant?\n"
    );
}

#[test]
fn a_token_is_all_that_stands_on_the_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = [("DATA_DIR", folder.path().to_str().unwrap())];
    let without_key = run(&["token", "--sub", "clara"], &data_dir);
    assert_eq!(without_key.status.code(), Some(1));
    assert!(stderr(&without_key).contains("pianorhythm-server keygen"), "{}", stderr(&without_key));

    assert_eq!(run(&["keygen"], &data_dir).status.code(), Some(0));
    let signed = run(&["token", "--sub", "clara"], &data_dir);
    assert_eq!((signed.status.code(), stderr(&signed)), (Some(0), ""));
    assert_eq!(stdout(&signed).lines().count(), 1);
    assert_eq!(stdout(&signed).trim().split('.').count(), 3);

    let again = run(&["keygen"], &data_dir);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).starts_with("error: ") && stderr(&again).contains("--force"), "{}", stderr(&again));
}

#[test]
fn help_goes_to_the_standard_output_and_a_wrong_flag_to_the_standard_error() {
    let help = run(&["--help"], &[]);
    assert_eq!(help.status.code(), Some(0));
    assert!(stdout(&help).contains("Examples:"));
    let wrong = run(&["--outbox-shed-byte", "5"], &[]);
    assert_eq!((wrong.status.code(), stdout(&wrong)), (Some(2), ""));
    assert!(stderr(&wrong).contains("`--set outbox_shed_bytes=VALUE`"), "{}", stderr(&wrong));
}
