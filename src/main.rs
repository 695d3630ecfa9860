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
    // Only in builds that are made for it; what is shipped has no such switch.
    #[cfg(feature = "faults")]
    if let Some(one_in) = std::env::var("FAULTS_ROOM_ONE_IN").ok().and_then(|one_in| one_in.parse().ok()) {
        pianorhythm_server::domain::fault::inject(one_in);
    }
    Ok(run::run(&config)?)
}
