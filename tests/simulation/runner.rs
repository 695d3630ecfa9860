//! Runs on, as it is told, and says what it finds.

use std::{
    fmt::Write as _,
    fs,
    str::FromStr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use pianorhythm_server::domain::defect::Defect;

use crate::{
    plan::{Plan, Setup, Step},
    run::{Violation, run},
    shrink::shrink,
    world::Tally,
};

/// How long a plan that fails is made smaller.
const SHRINK_TIME: Duration = Duration::from_secs(20);

/// What is to be run.
#[derive(Debug, Default)]
pub struct Options {
    seeds: Option<u64>,
    seed: Option<u64>,
    time: Option<Duration>,
    defect: Option<Defect>,
    replay: Option<String>,
    is_told: bool,
    is_brief: bool,
}

impl Options {
    /// From arguments of a command line.
    pub fn of<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        fn number<T: FromStr>(name: &str, value: Option<&str>) -> Result<T, String> {
            value.and_then(|value| value.parse().ok()).ok_or_else(|| format!("{name} wants a number"))
        }
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            match name {
                "--seeds" => options.seeds = Some(number(name, arguments.next())?),
                "--seed" => options.seed = Some(number(name, arguments.next())?),
                "--seconds" => options.time = Some(Duration::from_secs(number(name, arguments.next())?)),
                "--replay" => options.replay = Some(arguments.next().ok_or("--replay wants a file")?.to_owned()),
                "--tell" => options.is_told = true,
                "--brief" => options.is_brief = true,
                "--defect" => {
                    let name = arguments.next().unwrap_or_default();
                    let defect = Defect::ALL.iter().find(|defect| defect.name() == name);
                    options.defect = Some(*defect.ok_or_else(|| {
                        let known = Defect::ALL.iter().map(|defect| format!("  {}:{}", defect.name(), defect.what()));
                        format!("--defect wants one of\n{}", known.collect::<Vec<_>>().join("\n"))
                    })?);
                }
                name => {
                    return Err(format!(
                        "{name} is none of --seeds N, --seed FIRST, --seconds S, --defect NAME, --replay FILE, --tell, --brief"
                    ));
                }
            }
        }
        Ok(options)
    }
}

/// Runs seed after seed. True where all went well.
pub fn run_on(options: &Options) -> bool {
    if let Some(file) = &options.replay {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file} can not be read: {error}"));
        let plan = read(&text).unwrap_or_else(|error| panic!("{file} is no plan: {error}"));
        let outcome = run(&plan, options.defect, options.is_told);
        if let Some(violation) = &outcome.violation {
            println!("at step {} of {}: {}", violation.at, plan.steps.len(), violation.what);
        }
        return outcome.violation.is_none();
    }
    let first = options.seed.unwrap_or_else(|| {
        // Those of the day, where none is said: each day tries others.
        let days = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
        days * 1_000_000
    });
    let seeds = options.seeds.unwrap_or(if options.time.is_some() { u64::MAX - first } else { 1000 });
    let start = Instant::now();
    let (mut done, mut heard) = (0, 0);
    let mut told = Duration::ZERO;
    let mut tally = Tally::new();
    println!("seeds from {first} on");
    for seed in first..first + seeds {
        if options.time.is_some_and(|time| start.elapsed() >= time) {
            break;
        }
        let plan = Plan::of(seed);
        let outcome = run(&plan, options.defect, options.is_told);
        (done, heard) = (done + 1, heard + outcome.heard);
        for (what, count) in outcome.tally {
            *tally.entry(what).or_default() += count;
        }
        if let Some(violation) = outcome.violation {
            println!("found by seed {seed}, the {done}th, after {:.1?}: {}", start.elapsed(), violation.what);
            if !options.is_brief {
                println!("{}", report(&plan, options.defect, violation));
            }
            return false;
        }
        if start.elapsed() - told > Duration::from_secs(10) {
            told = start.elapsed();
            println!("{done} seeds, {:.1} a second", done as f64 / told.as_secs_f64());
        }
    }
    let time = start.elapsed();
    println!(
        "{done} seeds well in {time:.1?}, {:.1} a second; clients heard {heard} messages",
        done as f64 / time.as_secs_f64()
    );
    if !options.is_brief {
        println!("what happened, and how often:");
        tally.iter().for_each(|(what, count)| println!("{count:>12} {what}"));
    }
    true
}

/// What did not hold, and the fewest steps found for it.
pub fn report(plan: &Plan, planted: Option<Defect>, violation: Violation) -> String {
    let mut text = format!("seed {}: at step {}: {}\n", plan.seed, violation.at, violation.what);
    let (least, violation) = shrink(plan, planted, violation, SHRINK_TIME);
    let _ = writeln!(text, "with {} steps of {}: {}", least.steps.len(), plan.steps.len(), violation.what);
    let _ = writeln!(text, "to be run again by ./tools/simulate --replay FILE, of these lines:");
    text.push_str(&print(&least));
    text
}

/// A plan as text: its seed, its setup, and a line a step.
pub fn print(plan: &Plan) -> String {
    let line = |value: &dyn Fn() -> serde_json::Result<String>| value().expect("a plan has names for its keys") + "\n";
    let mut text = format!("{}\n", plan.seed);
    text += &line(&|| serde_json::to_string(&plan.setup));
    for step in &plan.steps {
        text += &line(&|| serde_json::to_string(step));
    }
    text
}

/// A plan that was printed.
pub fn read(text: &str) -> serde_json::Result<Plan> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let seed: u64 = serde_json::from_str(lines.next().unwrap_or_default())?;
    let setup: Setup = serde_json::from_str(lines.next().unwrap_or_default())?;
    let steps: Vec<Step> = lines.map(serde_json::from_str).collect::<serde_json::Result<_>>()?;
    Ok(Plan { seed, setup, steps })
}
