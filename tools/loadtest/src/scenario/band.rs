//! Many rooms in which everybody plays.

use std::io;

use clap::{Args, value_parser};

use crate::{act::Part, common::Common, outcome::Outcome, run, scenario::plan, score::Score};

/// The arguments.
#[derive(Args, Clone, Debug)]
pub struct Band {
    /// Rooms
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = value_parser!(u32).range(1..=60_000))]
    pub rooms: u32,
    /// Members of each room, all of whom play
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = value_parser!(u32).range(1..=10_000))]
    pub members: u32,
    /// Notes a second of each player: presses and releases by turns
    #[arg(long, value_name = "NOTES/S", default_value_t = 5.0, value_parser = crate::common::rate)]
    pub rate: f64,
    /// What all scenarios have.
    #[command(flatten)]
    pub common: Common,
}

impl Band {
    /// Runs it.
    pub fn run(&self) -> io::Result<Outcome> {
        let (rooms, players) = (self.rooms as usize, self.members as usize);
        let score = Score { rooms, players, listeners: 0, rate: self.rate, notes: 0 };
        let parts = vec![Part::quiet("band", self.common.seconds)];
        run::run(plan("band", &self.common, score, parts))
    }
}
