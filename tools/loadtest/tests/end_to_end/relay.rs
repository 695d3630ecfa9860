//! A plain relay that does something wrong to one frame.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// What is done to which frame, from 0.
#[derive(Clone, Copy, Debug)]
pub enum Wrong {
    /// All go on as they come.
    Nothing,
    /// It goes nowhere.
    Lose(usize),
    /// It goes on twice.
    Double(usize),
    /// It goes on after the next.
    Swap(usize),
    /// It goes on with another key in it.
    Change(usize),
    /// Before it nothing goes on for a while.
    Stall(usize, Duration),
    /// Each handshake is answered late.
    Slow(Duration),
}

/// The relay. Its threads end with the test's process.
pub struct Relay {
    wrong: Wrong,
    frames: AtomicUsize,
    members: Mutex<Vec<(String, TcpStream)>>,
    /// The frame that waits for the next.
    held: Mutex<Option<Vec<u8>>>,
}

impl Relay {
    /// One that listens, and where.
    pub fn start(wrong: Wrong) -> (Arc<Self>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let relay = Self { wrong, frames: AtomicUsize::new(0), members: Mutex::default(), held: Mutex::default() };
        let relay = Arc::new(relay);
        let serving = relay.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let relay = serving.clone();
                // An error is the connection's end.
                thread::spawn(move || relay.serve(stream));
            }
        });
        (relay, address)
    }

    /// Where its members in this room came from.
    pub fn sources(&self, room: &str) -> Vec<IpAddr> {
        let members = self.members.lock().unwrap();
        members.iter().filter(|(name, _)| name == room).map(|(_, stream)| stream.peer_addr().unwrap().ip()).collect()
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let room = head.split("room=").nth(1).and_then(|rest| rest.split(['&', ' ']).next()).unwrap().to_owned();
        let me = stream.peer_addr()?;
        self.members.lock().unwrap().push((room.clone(), stream.try_clone()?));
        if let Wrong::Slow(time) = self.wrong {
            thread::sleep(time);
        }
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")?;
        loop {
            let mut start = [0; 6];
            stream.read_exact(&mut start)?;
            let length = usize::from(start[1] & 127);
            assert!(length < 126, "notes are short");
            let mut payload = vec![0; length];
            stream.read_exact(&mut payload)?;
            payload.iter_mut().zip(start[2..].iter().cycle()).for_each(|(byte, key)| *byte ^= key);
            self.pass_on(&room, me, [&[start[0], length as u8], &payload[..]].concat());
        }
    }

    fn pass_on(&self, room: &str, from: SocketAddr, mut frame: Vec<u8>) {
        let number = self.frames.fetch_add(1, Relaxed);
        let mut frames = match self.wrong {
            Wrong::Lose(which) if which == number => Vec::new(),
            Wrong::Double(which) if which == number => vec![frame.clone(), frame],
            Wrong::Swap(which) if which == number => {
                *self.held.lock().unwrap() = Some(frame);
                Vec::new()
            }
            Wrong::Change(which) if which == number => {
                // The key stands behind the status byte of a press or a release on the first channel.
                let at = frame.windows(2).position(|two| matches!(two, [0, 0x80 | 0x90])).unwrap() + 2;
                frame[at] ^= 1;
                vec![frame]
            }
            Wrong::Stall(which, time) if which == number => {
                thread::sleep(time);
                vec![frame]
            }
            _ => vec![frame],
        };
        if !frames.is_empty() {
            frames.extend(self.held.lock().unwrap().take());
        }
        for (other, stream) in &*self.members.lock().unwrap() {
            if other == room && stream.peer_addr().is_ok_and(|peer| peer != from) {
                frames.iter().for_each(|frame| _ = (&*stream).write_all(frame));
            }
        }
    }
}
