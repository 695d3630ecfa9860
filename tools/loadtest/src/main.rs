//! The `loadtest` command. `--help` teaches it; the work is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    pianorhythm_loadtest::cli::main(std::env::args_os()).into()
}
