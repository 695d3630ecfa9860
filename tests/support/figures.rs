//! What a server counts, as its operators see it.

use std::{collections::BTreeMap, fs, net::SocketAddr};

use super::http;

/// The figures of one moment: by metric and labels, as they are told.
#[derive(Clone, Debug, Default)]
pub struct Figures(BTreeMap<String, u64>);

impl Figures {
    /// As they are now. Histograms and shares are left out: what is counted is whole.
    pub fn of(admin: SocketAddr) -> Self {
        let (status, text) = http::request(admin, "GET", "/metrics", &[]);
        assert_eq!(status, 200, "{text}");
        let series = text.lines().filter(|line| !line.starts_with('#'));
        Self(
            series
                .filter_map(|line| line.rsplit_once(' '))
                .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
                .collect(),
        )
    }

    /// The sum of a metric over all series whose labels hold this text; empty: over all.
    pub fn get(&self, metric: &str, label: &str) -> u64 {
        let is_it = |name: &str| {
            name.strip_prefix(metric).is_some_and(|labels| labels.is_empty() || labels.starts_with('{'))
                && name.contains(label)
        };
        self.0.iter().filter(|(name, _)| is_it(name)).map(|(_, value)| value).sum()
    }

    /// How much each series has grown since `before`; those that have not are left out.
    pub fn since(&self, before: &Self) -> Self {
        let grown = |(name, value): (&String, &u64)| {
            let by = value.saturating_sub(before.0.get(name).copied().unwrap_or(0));
            (by > 0).then(|| (name.clone(), by))
        };
        Self(self.0.iter().filter_map(grown).collect())
    }

    /// The series of a metric with their labels, but the shards': each label's values summed up over those.
    pub fn by_label(&self, metric: &str) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for (name, value) in &self.0 {
            let Some(labels) = name.strip_prefix(metric).and_then(|rest| rest.strip_prefix('{')?.strip_suffix('}'))
            else {
                continue;
            };
            let label = labels.split(',').filter(|label| !label.starts_with("shard=")).collect::<Vec<_>>().join(",");
            *sums.entry(label).or_default() += value;
        }
        sums
    }
}

/// The memory of a process that is in use, in bytes.
pub fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")).unwrap();
    kib.trim().parse::<u64>().unwrap() * 1024
}

/// The descriptors that a process has open.
pub fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}
