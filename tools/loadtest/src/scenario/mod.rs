//! The scenarios: what is played, and what happens beside it. Each is the arguments of its command, and how it is run.

use std::io;

use clap::{Args, Subcommand, value_parser};

use self::{
    band::Band, churn::Churn, concert::Concert, hostile::Hostile, idle::Idle, login_storm::LoginStorm,
    reconnect_storm::ReconnectStorm, slow_readers::SlowReaders,
};
use crate::{act::Part, common::Common, outcome::Outcome, run::Plan, score::Score, watch::Watched};

pub mod band;
pub mod churn;
pub mod concert;
pub mod hostile;
pub mod idle;
pub mod login_storm;
pub mod reconnect_storm;
pub mod slow_readers;

/// What can be played, and with what: all that the command line and a file may say of it.
#[derive(Clone, Debug, Subcommand)]
pub enum Scenario {
    /// Many rooms in which everybody plays
    #[command(after_help = "\
Examples:
  loadtest band                                                    50 rooms × 20 players × 5 notes/s: 95 000 deliveries/s
  loadtest band --rooms 20 --members 50 --rate 20                  980 000/s
  loadtest band --seconds 60 --pid 4711 --admin 127.0.0.1:9090 --json band.json")]
    Band(Band),
    /// One room with few players and many listeners
    Concert(Concert),
    /// Connections that do nothing: what each costs in memory, and all together in processor time
    Idle(Idle),
    /// A crowd that comes, goes and changes rooms across shards, beside a playing band
    Churn(Churn),
    /// People who log in, beside a playing band
    ///
    /// Accounts are made first, by /api/auth/register; then they log in, by /api/auth/login, at a fixed rate and from many
    /// addresses of 127.0.0.0/8.
    LoginStorm(LoginStorm),
    /// A crowd whose connections break and come back all at once, beside a playing band
    ReconnectStorm(ReconnectStorm),
    /// Members who do not read, in the rooms of a playing band
    SlowReaders(SlowReaders),
    /// Everything that a bad client can do, kind by kind, beside a playing band
    ///
    /// The band plays in quiet first, then beside each kind. Run it against a server with its own limits, not those of
    /// config/load.toml, which lifts what this is to try: the band comes from many addresses. Each kind comes from one, and is
    /// held back where that connects too often (HTTP 429) or too much (503): with CONNECT_RATE_PER_ADDRESS=unlimited all its
    /// frames arrive. A kind whose connections are neither answered nor closed with a code that fits fails the run.
    #[command(after_help = "\
Examples:
  loadtest hostile --pid 4711 --max-ratio 1.5 --report hostile.html
  loadtest hostile --kinds ping-flood,note-off-flood --seconds 60")]
    Hostile(Hostile),
}

impl Scenario {
    /// Plays it, and tells what came of it.
    pub fn run(&self) -> io::Result<Outcome> {
        match self {
            Self::Band(band) => band.run(),
            Self::Concert(concert) => concert.run(),
            Self::Idle(idle) => idle.run(),
            Self::Churn(churn) => churn.run(),
            Self::LoginStorm(storm) => storm.run(),
            Self::ReconnectStorm(storm) => storm.run(),
            Self::SlowReaders(slow) => slow.run(),
            Self::Hostile(hostile) => hostile.run(),
        }
    }

    /// What it has in common with all others.
    pub fn common(&self) -> &Common {
        match self {
            Self::Band(Band { common, .. })
            | Self::Concert(Concert { common, .. })
            | Self::Idle(Idle { common, .. })
            | Self::Churn(Churn { common, .. })
            | Self::LoginStorm(LoginStorm { common, .. })
            | Self::ReconnectStorm(ReconnectStorm { common, .. })
            | Self::SlowReaders(SlowReaders { common, .. })
            | Self::Hostile(Hostile { common, .. }) => common,
        }
    }

    /// The same, to be changed.
    pub fn common_mut(&mut self) -> &mut Common {
        match self {
            Self::Band(Band { common, .. })
            | Self::Concert(Concert { common, .. })
            | Self::Idle(Idle { common, .. })
            | Self::Churn(Churn { common, .. })
            | Self::LoginStorm(LoginStorm { common, .. })
            | Self::ReconnectStorm(ReconnectStorm { common, .. })
            | Self::SlowReaders(SlowReaders { common, .. })
            | Self::Hostile(Hostile { common, .. }) => common,
        }
    }
}

/// The band that plays beside something else.
#[derive(Args, Clone, Debug)]
pub struct SmallBand {
    /// The band's rooms
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = value_parser!(u32).range(1..=10_000))]
    pub rooms: u32,
    /// Members of each, all of whom play
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = value_parser!(u32).range(1..=1000))]
    pub members: u32,
    /// Notes a second of each
    #[arg(long, value_name = "NOTES/S", default_value_t = 5.0, value_parser = crate::common::rate)]
    pub rate: f64,
    /// Fail where the notes' p99 beside it is more than so many times the p99 in quiet
    #[arg(long, value_name = "RATIO")]
    pub max_ratio: Option<f64>,
}

/// Quiet windows and others, taking turns.
#[derive(Args, Clone, Copy, Debug)]
pub struct Rounds {
    /// How often it all happens, with a quiet window before and after each; of the p99 ratios the median counts
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
}

impl Rounds {
    /// The parts of the run: `part(kind)` each time, `kinds` of them a round.
    fn parts(self, seconds: f64, kinds: usize, part: impl Fn(usize) -> Part) -> Vec<Part> {
        let happen = (0..self.rounds).flat_map(|_| 0..kinds);
        let mut parts: Vec<_> = happen.flat_map(|kind| [Part::quiet("quiet", seconds), part(kind)]).collect();
        parts.push(Part::quiet("quiet", seconds));
        parts
    }
}

impl SmallBand {
    fn score(&self) -> Score {
        let (rooms, players) = (self.rooms as usize, self.members as usize);
        Score { rooms, players, listeners: 0, rate: self.rate, notes: 0 }
    }

    fn judge(&self, plan: Plan) -> Plan {
        Plan { max_ratio: self.max_ratio, ..plan }
    }
}

/// A plan from what all scenarios have in common.
fn plan(scenario: &str, common: &Common, score: Score, parts: Vec<Part>) -> Plan {
    Plan {
        scenario: scenario.into(),
        url: common.url.clone(),
        score,
        spare: 0,
        warm_up: common.warm_up,
        parts,
        watched: watched(common),
        per_address: common.per_address,
        seed: common.seed,
        quiet: common.quiet,
        max_ratio: None,
    }
}

fn watched(common: &Common) -> Watched {
    Watched { pid: common.pid, admin: common.admin.clone() }
}
