//! One room with few players and many listeners.

use std::io;

use clap::{Args, value_parser};

use crate::{act::Part, common::Common, outcome::Outcome, run, scenario::plan, score::Score};

/// The arguments.
#[derive(Args, Clone, Debug)]
pub struct Concert {
    /// Those who play
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = value_parser!(u32).range(1..=1000))]
    pub players: u32,
    /// Those who listen
    #[arg(long, value_name = "NUMBER", default_value_t = 990, value_parser = value_parser!(u32).range(0..=60_000))]
    pub listeners: u32,
    /// Notes a second of each player
    #[arg(long, value_name = "NOTES/S", default_value_t = 20.0, value_parser = crate::common::rate)]
    pub rate: f64,
    /// What all scenarios have.
    #[command(flatten)]
    pub common: Common,
}

impl Concert {
    /// Runs it.
    pub fn run(&self) -> io::Result<Outcome> {
        let (players, listeners) = (self.players as usize, self.listeners as usize);
        let score = Score { rooms: 1, players, listeners, rate: self.rate, notes: 0 };
        let parts = vec![Part::quiet("concert", self.common.seconds)];
        run::run(plan("concert", &self.common, score, parts))
    }
}
