//! A program that a test starts: its lines are read as they come, and it ends with the test, whatever way that ends.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// How long a program that starts may say nothing.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A started program with the processes it starts itself.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts it in a process group of its own, so that its children can be ended with it.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (send, lines) = channel();
        // Reads to the end even when nobody listens any more: a full pipe would stop the program.
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        Self { child, lines }
    }

    /// The first thing that `find` finds in a line of the standard output.
    pub fn said<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        let mut heard = Vec::new();
        loop {
            match self.lines.recv_timeout(START_TIMEOUT) {
                Ok(line) => match find(&line) {
                    Some(found) => return found,
                    None => heard.push(line),
                },
                Err(RecvTimeoutError::Timeout) => panic!("not a word of being ready; it said {heard:#?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended; it said {heard:#?}"),
            }
        }
    }

    /// Asks it to end, as a service manager does, and waits until it has.
    pub fn terminate(mut self) {
        self.signal(libc::SIGTERM, 1);
        let status = self.child.wait().expect("it is our child");
        assert!(status.success(), "ended with {status}");
    }

    /// Sends a signal to the process, or with -1 to its whole group.
    fn signal(&self, signal: libc::c_int, whom: libc::pid_t) {
        let id = libc::pid_t::try_from(self.child.id()).expect("process ids fit");
        // SAFETY: `kill` touches no memory of ours. The child has not been waited for, so its id is still its own.
        unsafe { libc::kill(id * whom, signal) };
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.signal(libc::SIGKILL, -1);
            let _ = self.child.wait();
        }
    }
}
