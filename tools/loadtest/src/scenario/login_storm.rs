//! People who log in beside a playing band: each costs the server tens of milliseconds of a core.

use std::{
    io,
    net::TcpStream,
    time::{Duration, Instant},
};

use clap::{Args, value_parser};

use crate::{
    act::{Act, Part, Scene},
    common::Common,
    crowd::{Crowd, Said},
    outcome::{Beside, Outcome},
    percentiles::{Percentiles, new_histogram, record},
    run,
    scenario::{SmallBand, plan},
    target::{PATIENCE, Target, source_address},
};

/// Logins from each address: the server lets an address log in ten times a minute.
const PER_ADDRESS: u32 = 5;
/// Addresses of 127.0.0.0/8 that logins come from begin here, away from those of the band.
const FIRST_ADDRESS: u32 = 0x10_0000;
const PASSWORD: &str = "correct horse battery staple 7";

/// The arguments.
#[derive(Args, Clone, Debug)]
pub struct LoginStorm {
    /// Logins a second, of all together
    #[arg(long, value_name = "LOGINS/S", default_value_t = 20.0, value_parser = crate::common::rate)]
    pub logins: f64,
    /// Accounts that are made before, and log in by turns
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = value_parser!(u32).range(1..=10_000))]
    pub accounts: u32,
    /// The band.
    #[command(flatten)]
    pub band: SmallBand,
    /// What all scenarios have.
    #[command(flatten)]
    pub common: Common,
}

impl LoginStorm {
    /// Runs it.
    pub fn run(&self) -> io::Result<Outcome> {
        let seconds = self.common.seconds;
        let act = Logins { accounts: self.accounts as usize, rate: self.logins, sources: 0 };
        let parts = vec![Part::quiet("quiet", seconds), Part::beside("logins", seconds, act)];
        run::run(self.band.judge(plan("login-storm", &self.common, self.band.score(), parts)))
    }
}

/// Those who log in.
struct Logins {
    accounts: usize,
    rate: f64,
    /// Requests made so far: each address makes only some.
    sources: u32,
}

impl Logins {
    fn connect(&mut self, target: &Target) -> io::Result<TcpStream> {
        self.sources += 1;
        target.connect_from(Some(source_address(FIRST_ADDRESS + self.sources / PER_ADDRESS)))
    }
}

fn name(scene: &Scene, account: usize) -> String {
    // Names of this run alone.
    format!("l{}x{account}", scene.rooms[0].trim_start_matches("load-").replace('-', "x"))
}

fn request(target: &Target, path: &str, body: &serde_json::Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        target.address(),
        body.len()
    )
}

impl Act for Logins {
    fn prepare(&mut self, scene: &Scene) -> io::Result<()> {
        for account in 0..self.accounts {
            let name = name(scene, account);
            let body = serde_json::json!({
                "username": name, "email": format!("{name}@load.example"), "password": PASSWORD, "confirm_password": PASSWORD,
            });
            let mut crowd = Crowd::new(&scene.target)?;
            let stream = self.connect(&scene.target)?;
            crowd.request(stream, &request(&scene.target, "/api/auth/register", &body))?;
            let said = crowd.turn(Instant::now() + PATIENCE)?;
            match said.first() {
                Some((_, Said::Answered(200 | 201))) => {}
                Some((_, Said::Answered(404))) => {
                    return Err(io::Error::other("this server has no accounts: POST /api/auth/register answers 404"));
                }
                other => return Err(io::Error::other(format!("an account cannot be made: {other:?}"))),
            }
        }
        Ok(())
    }

    fn run(mut self: Box<Self>, scene: &Scene, until: Instant) -> io::Result<Beside> {
        let mut beside = Beside::default();
        let mut latency = new_histogram::<u64>();
        let mut crowd = Crowd::new(&scene.target)?;
        let begun = Instant::now();
        // By member: when its login was due.
        let mut due = Vec::new();
        let mut answered = 0;
        // What was due has a while to be answered.
        let patience = until + Duration::from_secs(5);
        loop {
            let now = Instant::now();
            let next = begun + Duration::from_secs_f64(due.len() as f64 / self.rate);
            let is_over = now >= until;
            if now >= patience || is_over && answered == due.len() {
                break;
            }
            if !is_over && now >= next {
                let username = name(scene, due.len() % self.accounts);
                let body = serde_json::json!({ "username": username, "password": PASSWORD, "remember_me": false });
                let stream = self.connect(&scene.target)?;
                crowd.request(stream, &request(&scene.target, "/api/auth/login", &body))?;
                due.push(next);
                continue;
            }
            for (member, said) in crowd.turn(if is_over { patience } else { next })? {
                answered += 1;
                match said {
                    Said::Answered(200) => {
                        beside.count("logged in");
                        record(&mut latency, due[member].elapsed());
                    }
                    Said::Answered(status) => beside.count(format!("HTTP {status}")),
                    other => beside.count(format!("{other:?}")),
                }
            }
        }
        beside.add("logins due", due.len() as u64);
        if answered < due.len() {
            beside.failures.push(format!("{} of {} logins were not answered", due.len() - answered, due.len()));
        }
        if latency.is_empty() {
            beside.failures.push("nobody could log in".into());
        }
        beside.latency = Percentiles::of(&latency);
        Ok(beside)
    }
}
