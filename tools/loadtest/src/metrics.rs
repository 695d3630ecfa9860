//! The server's own figures, as its operators' port tells them.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

/// How long the operators' port may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The server's figures, by series, as `/metrics` tells them. `admin` is HOST:PORT, with `http://` before it or not.
pub fn metrics(admin: &str) -> io::Result<BTreeMap<String, f64>> {
    let admin = admin.strip_prefix("http://").unwrap_or(admin).trim_end_matches('/');
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(io::Error::other(format!("/metrics answers {}", head.lines().next().unwrap_or_default())));
    }
    let samples = body.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    Ok(samples.filter_map(|(series, value)| Some((series.to_owned(), value.parse().ok()?))).collect())
}

/// The sum of a metric over all its series that have this in their labels.
pub fn sum(metrics: &BTreeMap<String, f64>, name: &str, label: &str) -> f64 {
    let series = metrics.iter().filter(|(series, _)| series.split('{').next() == Some(name) && series.contains(label));
    series.map(|(_, value)| value).sum()
}

/// A metric by shard, in the shards' order; empty where it has none.
pub fn by_shard(metrics: &BTreeMap<String, f64>, name: &str) -> Vec<f64> {
    let mut shards: Vec<(usize, f64)> = metrics
        .iter()
        .filter_map(|(series, value)| {
            let labels = series.strip_prefix(name)?.strip_prefix("{shard=\"")?;
            Some((labels.split('"').next()?.parse().ok()?, *value))
        })
        .collect();
    shards.sort_by_key(|(shard, _)| *shard);
    shards.into_iter().map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_summed_by_label_and_listed_by_shard() {
        let figures = [
            ("pianorhythm_rooms{shard=\"10\"}", 4.0),
            ("pianorhythm_rooms{shard=\"2\"}", 3.0),
            ("pianorhythm_rooms_made{shard=\"2\"}", 9.0),
            ("pianorhythm_moves_total{shard=\"0\",direction=\"out\"}", 1.0),
            ("pianorhythm_moves_total{shard=\"1\",direction=\"in\"}", 2.0),
        ];
        let figures = figures.into_iter().map(|(series, value)| (series.to_owned(), value)).collect();
        assert_eq!(by_shard(&figures, "pianorhythm_rooms"), [3.0, 4.0]);
        assert_eq!(by_shard(&figures, "pianorhythm_users"), [0.0; 0]);
        assert_eq!(sum(&figures, "pianorhythm_moves_total", ""), 3.0);
        assert_eq!(sum(&figures, "pianorhythm_moves_total", "direction=\"in\""), 2.0);
    }
}
