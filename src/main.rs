//! The `pianorhythm-server` command.

use std::process::ExitCode;

use pianorhythm_server::{
    cli::{self, Failure},
    config::Config,
    server::run,
};

// Made for threads that each allocate and free their own, as shards do.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main(std::env::args_os(), serve)
}

/// Runs the server until it is told to stop.
fn serve(config: Config) -> Result<(), Failure> {
    Ok(run::run(&config)?)
}
