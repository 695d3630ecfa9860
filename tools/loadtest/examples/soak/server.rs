//! The server as its operator sees it: what its process takes, and whether that grows.

use pianorhythm_loadtest::process::{Sample, mib};

/// Memory may grow by this share, and by so many bytes: allocators keep what they had.
const RESIDENT_SHARE: f64 = 0.10;
const RESIDENT_BYTES: f64 = 8.0 * 1024.0 * 1024.0;
/// Descriptors may differ by this share, and by so many: people come and go.
const DESCRIPTOR_SHARE: f64 = 0.15;
const DESCRIPTORS: f64 = 10.0;

/// Looks at the process, from the beginning of a run to its end.
#[derive(Default)]
pub struct Trend(Vec<Sample>);

impl Trend {
    /// Adds a look.
    pub fn add(&mut self, sample: Sample) {
        self.0.push(sample);
    }

    /// What was found in words, and what grew that should not have: the first and the last third are compared, after a fifth
    /// of the time to warm up. Of each third the tenth part that is lowest counts: who comes and goes makes peaks, what is never
    /// let go of lifts the lowest.
    pub fn verdict(&self) -> (String, Vec<String>) {
        let warm = &self.0[self.0.len() / 5..];
        let third = warm.len() / 3;
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else {
            return ("was not looked at".into(), Vec::new());
        };
        if third == 0 {
            return ("was looked at too seldom to say".into(), Vec::new());
        }
        let compare = |of| (low(&warm[..third], of), low(&warm[warm.len() - third..], of));
        let resident = compare(|sample| sample.resident as f64);
        let descriptors = compare(|sample| sample.descriptors as f64);
        let mut grown = Vec::new();
        if resident.1 > resident.0 * (1.0 + RESIDENT_SHARE) + RESIDENT_BYTES {
            grown.push(format!("memory grew from {} to {}", mib(resident.0 as u64), mib(resident.1 as u64)));
        }
        if descriptors.1 > descriptors.0 * (1.0 + DESCRIPTOR_SHARE) + DESCRIPTORS {
            grown.push(format!("descriptors grew from {:.0} to {:.0}", descriptors.0, descriptors.1));
        }
        let told = format!(
            "{}; resident at the least {} in the first third, {} in the last, at most {}; descriptors {:.0} and {:.0}",
            last.since(first),
            mib(resident.0 as u64),
            mib(resident.1 as u64),
            mib(last.resident_peak),
            descriptors.0,
            descriptors.1
        );
        (told, grown)
    }
}

/// The mean of the lowest tenth.
fn low(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.truncate(samples.len().div_ceil(10));
    values.iter().sum::<f64>() / values.len() as f64
}
