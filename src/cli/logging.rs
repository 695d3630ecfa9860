//! Log lines to the standard error, without ever making a shard wait for whoever reads them.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::config::{LogFilter, LogFormat};

/// Lines that wait to be written; past it, lines are lost and counted.
const QUEUE: usize = 4096;
/// How long the end of the process waits for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Starts logging for the whole process. What it returns writes the last lines when it is dropped.
///
/// A second call in a process changes nothing: the first logger stays.
pub fn start(filter: &LogFilter, format: LogFormat) -> LogGuard {
    let (lines, guard) = LineQueue::start(
        io::stderr(),
        match format {
            LogFormat::Text => |lost| format!("{lost} log lines lost: they came faster than they could be written\n"),
            LogFormat::Json => {
                |lost| format!("{{\"level\":\"WARN\",\"message\":\"log lines lost\",\"lost\":{lost}}}\n")
            }
        },
    );
    // The configuration has checked it.
    let filter = EnvFilter::try_new(&filter.0).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines);
    _ = match format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    guard
}

/// Writes what is left when dropped, for at most a second.
#[derive(Debug)]
pub struct LogGuard {
    queue: SyncSender<Entry>,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let (written, all) = mpsc::sync_channel(1);
        if self.queue.try_send(Entry::Flush(written)).is_ok() {
            _ = all.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// The way to the thread that writes. A line that finds the queue full is lost, and their number is told later.
#[derive(Clone, Debug)]
struct LineQueue {
    queue: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

/// The line that tells how many were lost.
type ToldLost = fn(u64) -> String;

impl LineQueue {
    fn start(out: impl Write + Send + 'static, told_lost: ToldLost) -> (Self, LogGuard) {
        let (queue, entries) = mpsc::sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = lost.clone();
        // Without the thread nothing is written, and nothing waits: lines are refused by the closed queue.
        _ = thread::Builder::new().name("log".into()).spawn(move || write_lines(entries, out, &counted, told_lost));
        (Self { queue: queue.clone(), lost }, LogGuard { queue })
    }
}

fn write_lines(entries: Receiver<Entry>, mut out: impl Write, lost: &AtomicU64, told_lost: ToldLost) {
    for entry in entries {
        // There is nobody to tell that the standard error is gone.
        match entry {
            Entry::Line(line) => _ = out.write_all(&line),
            Entry::Flush(written) => {
                _ = out.flush();
                _ = written.send(());
            }
        }
        let lost = lost.swap(0, Relaxed);
        if lost > 0 {
            _ = out.write_all(told_lost(lost).as_bytes());
        }
    }
}

impl Write for LineQueue {
    /// The formatter calls this once with a whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Entry::Line(line.to_vec())) {
            self.lost.fetch_add(1, Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LineQueue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Keeps what is written; each write waits for a turn.
    struct Slow {
        turns: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            _ = self.turns.recv();
            self.written.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_not_the_callers_time() {
        let (go, turns) = mpsc::channel();
        let written = Arc::default();
        let (mut lines, guard) =
            LineQueue::start(Slow { turns, written: Arc::clone(&written) }, |lost| format!("{lost} lost\n"));
        for i in 0..2 * QUEUE {
            lines.write_all(format!("{i}\n").as_bytes()).unwrap();
        }
        // From here on everything is written as it comes.
        drop(go);
        let (done, all) = mpsc::sync_channel(1);
        guard.queue.send(Entry::Flush(done)).unwrap();
        all.recv().unwrap();
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("0\n"));
        let lost =
            text.lines().filter_map(|line| line.strip_suffix(" lost")).map(|lost| lost.parse::<usize>().unwrap());
        let written = text.lines().filter(|line| !line.ends_with("lost")).count();
        assert_eq!(written + lost.sum::<usize>(), 2 * QUEUE);
    }

    #[test]
    fn the_last_lines_are_written_when_the_guard_goes() {
        let (go, turns) = mpsc::channel();
        drop(go);
        let written = Arc::default();
        let (mut lines, guard) =
            LineQueue::start(Slow { turns, written: Arc::clone(&written) }, |lost| format!("{lost} lost\n"));
        lines.write_all(b"last words\n").unwrap();
        drop(guard);
        assert_eq!(*written.lock().unwrap(), b"last words\n");
    }
}
