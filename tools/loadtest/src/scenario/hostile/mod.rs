//! Everything that a bad client can do, kind by kind, beside a playing band.

use std::io;

use clap::{Args, ValueEnum as _, value_parser};

use crate::{
    act::Part,
    common::Common,
    outcome::Outcome,
    run::{self, Plan},
    scenario::{Rounds, SmallBand, plan},
    target::source_address,
};

mod frames;
mod kind;
mod sockets;

pub use kind::Kind;

/// Connections from each source address of the band, where it is not told otherwise: half of what a server allows by default.
const PER_ADDRESS: u32 = 50;
/// Each kind comes from an address of its own, from this one on, so that none takes another's places.
const FIRST_ADDRESS: u32 = 0x20_0000;

/// How many times the p99 in quiet that beside each kind may be, where it is not told otherwise.
const MAX_RATIO: f64 = 1.5;

/// The arguments.
#[derive(Args, Clone, Debug)]
pub struct Hostile {
    /// Only these kinds, separated by commas
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub kinds: Vec<Kind>,
    /// Frames a second of each kind, of all its connections together; of those that flood with connections, so many of these
    #[arg(long, value_name = "FRAMES/S", default_value_t = 1000.0, value_parser = crate::common::rate)]
    pub frames: f64,
    /// Connections of each kind that send frames
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = value_parser!(u32).range(1..=10_000))]
    pub attackers: u32,
    /// How often.
    #[command(flatten)]
    pub rounds: Rounds,
    /// The band.
    #[command(flatten)]
    pub band: SmallBand,
    /// What all scenarios have.
    #[command(flatten)]
    pub common: Common,
}

impl Hostile {
    /// Runs it.
    pub fn run(&self) -> io::Result<Outcome> {
        let seconds = self.common.seconds;
        let all = Kind::value_variants();
        let kinds = if self.kinds.is_empty() { all } else { &self.kinds[..] };
        let (attackers, rate) = (self.attackers as usize, self.frames);
        let parts = self.rounds.parts(seconds, kinds.len(), |number| {
            let kind = kinds[number];
            let source = source_address(FIRST_ADDRESS + kind as u32);
            let name = kind.to_possible_value().expect("none is left out").get_name().to_owned();
            if kind.is_of_connections() {
                Part::beside(&name, seconds, sockets::Flood { kind, source, rate })
            } else {
                Part::beside(&name, seconds, frames::Flood { kind, source, attackers, rate })
            }
        });
        let mut plan = plan("hostile", &self.common, self.band.score(), parts);
        plan.per_address = plan.per_address.or(Some(PER_ADDRESS));
        // Those who flood a room are in it; a room keeps the seats of who was cut off for a while.
        plan.spare = attackers;
        run::run(Plan { max_ratio: Some(self.band.max_ratio.unwrap_or(MAX_RATIO)), ..plan })
    }
}
