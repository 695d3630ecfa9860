//! Measuring, and the table of what was measured.

use std::{collections::BTreeMap, time::Duration};

use criterion::Criterion;

/// What was measured: for each operation and runtime the nanoseconds of one, sample by sample.
#[derive(Default)]
pub struct Rows(BTreeMap<(&'static str, &'static str), Vec<f64>>);

/// A sample of fewer is not looked at: its beginning and end weigh too much.
const ENOUGH: u64 = 1000;

impl Rows {
    /// Has criterion measure `work`, which does something so many times and tells how long that took.
    pub fn measure(
        &mut self,
        criterion: &mut Criterion,
        operation: &'static str,
        runtime: &'static str,
        mut work: impl FnMut(u64) -> Duration,
    ) {
        let mut group = criterion.benchmark_group(operation);
        group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        let samples = self.0.entry((operation, runtime)).or_default();
        group.bench_function(runtime, |bencher| {
            bencher.iter_custom(|count| {
                let took = work(count);
                if count >= ENOUGH {
                    samples.push(took.as_nanos() as f64 / count as f64);
                }
                took
            });
        });
        group.finish();
    }

    /// Prints the least and, in brackets, the median of each.
    pub fn print(mut self, operations: &[(&'static str, f64)]) {
        let runtimes = ["world", "System", "kameo", "ractor"];
        println!("\nnanoseconds for one: the least of all samples (their median)\n");
        print!("| {:<22} | {:>5} ", "operation", "goal");
        runtimes.iter().for_each(|runtime| print!("| {runtime:>15} "));
        println!("|\n|{}|------:{}|", "-".repeat(24), "|----------------:".repeat(runtimes.len()));
        for (operation, goal) in operations {
            print!("| {operation:<22} | {goal:>5} ");
            for runtime in runtimes {
                let mut samples = self.0.remove(&(*operation, runtime)).unwrap_or_default();
                samples.sort_by(f64::total_cmp);
                let told = match samples.first() {
                    Some(least) => format!("{least:.0} ({:.0})", samples[samples.len() / 2]),
                    None => String::new(),
                };
                print!("| {told:>15} ");
            }
            println!("|");
        }
    }
}
