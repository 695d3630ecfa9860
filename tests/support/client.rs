//! A client with a thread that reads all the time, so that it is never the slow one, and answers pings.

use std::{
    collections::VecDeque,
    net::{Shutdown, TcpStream},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::{self, JoinHandle},
    time::Instant,
};

use pianorhythm_server::protocol::{
    codec::Format,
    wire::{
        ClientMessage, ErrorMessage, MidiMessage, RoomJoinedResponse, ServerMessage, Welcome, client_message::Message,
        server_message::Message as Ask,
    },
};

use super::{
    DEADLINE, say,
    socket::{Ending, Got, Socket, Writer, close_frame, frame_of},
};

/// A welcomed client. Dropped, it is gone without a good-bye.
pub struct Client {
    pub welcome: Welcome,
    pub format: Format,
    stream: TcpStream,
    writer: Writer,
    incoming: Receiver<Got>,
    /// Came while an answer was waited for.
    waiting: VecDeque<ClientMessage>,
    ending: Option<Ending>,
    /// Pings that the server sent and the reading thread answered.
    pub pings: usize,
    last_id: u32,
    reader: Option<JoinHandle<()>>,
}

impl Client {
    /// Takes the welcome in, and begins to read.
    pub fn new(mut socket: Socket) -> Self {
        let Some(Message::Welcome(welcome)) = socket.message().message else { panic!("a welcome comes first") };
        let (format, writer) = (socket.format, socket.writer());
        let stream = socket.stream().try_clone().unwrap();
        stream.set_read_timeout(None).unwrap();
        let (sender, incoming) = channel();
        let reader = thread::spawn(move || {
            loop {
                let got = socket.read();
                let is_over = matches!(got, Got::End(_));
                if sender.send(got).is_err() || is_over {
                    return;
                }
            }
        });
        let reader = Some(reader);
        let waiting = VecDeque::new();
        Self { welcome, format, stream, writer, incoming, waiting, ending: None, pings: 0, last_id: 0, reader }
    }

    /// Its user's id.
    pub fn user_id(&self) -> String {
        self.welcome.user.as_ref().unwrap().user_id.clone()
    }

    /// Sends bytes as they are, unless the server is gone.
    pub fn write(&self, bytes: &[u8]) {
        // What it was then told is what the test looks at.
        let _ = self.writer.write(bytes);
    }

    /// Where frames may be written from another thread.
    pub fn writer(&self) -> Writer {
        self.writer.clone()
    }

    /// Sends without asking for an answer.
    pub fn send(&self, message: Ask) {
        self.write(&frame_of(self.format, &ServerMessage::event(message)));
    }

    /// Sends a request, and returns its id without waiting for the answer.
    pub fn begin(&mut self, message: Ask) -> u32 {
        self.last_id += 1;
        self.write(&frame_of(self.format, &ServerMessage::request(Some(self.last_id), message)));
        self.last_id
    }

    /// Sends a request and waits for its answer. What comes before that is kept for [`Client::next`].
    #[track_caller]
    pub fn answer(&mut self, message: Ask) -> Message {
        let id = self.begin(message);
        self.answer_to(id)
    }

    /// Sends a request and waits for its answer; none where the connection ends before.
    pub fn try_answer(&mut self, message: Ask) -> Option<Message> {
        let id = self.begin(message);
        let give_up = Instant::now() + DEADLINE;
        loop {
            let message = self.receive_before(give_up).ok()?;
            if message.request_id == Some(id) {
                return message.message;
            }
            self.waiting.push_back(message);
        }
    }

    /// Waits for the answer to a request.
    #[track_caller]
    pub fn answer_to(&mut self, id: u32) -> Message {
        if let Some(at) = self.waiting.iter().position(|message| message.request_id == Some(id)) {
            return self.waiting.remove(at).unwrap().message.unwrap();
        }
        loop {
            let message = self.receive();
            if message.request_id == Some(id) {
                return message.message.unwrap();
            }
            self.waiting.push_back(message);
        }
    }

    /// Sends a request that is granted.
    #[track_caller]
    pub fn ask(&mut self, message: Ask) -> Message {
        match self.answer(message.clone()) {
            Message::ErrorMessage(error) => panic!("{message:?} was refused: {error:?}"),
            answer => answer,
        }
    }

    /// Sends a request that is refused; returns the error.
    #[track_caller]
    pub fn refused(&mut self, message: Ask) -> ErrorMessage {
        match self.answer(message.clone()) {
            Message::ErrorMessage(error) => error,
            answer => panic!("{message:?} was answered with {answer:?}"),
        }
    }

    /// Sends a request that is refused; returns the error's code.
    #[track_caller]
    pub fn refusal(&mut self, message: Ask) -> String {
        self.refused(message).error_code
    }

    /// Joins a room.
    #[track_caller]
    pub fn join(&mut self, room: &str) -> RoomJoinedResponse {
        self.enter(say::join(room))
    }

    /// Sends a request that ends in a room.
    #[track_caller]
    pub fn enter(&mut self, message: Ask) -> RoomJoinedResponse {
        match self.ask(message) {
            Message::RoomJoinedResponse(response) => response,
            answer => panic!("{answer:?}"),
        }
    }

    /// The next message.
    #[track_caller]
    pub fn next(&mut self) -> ClientMessage {
        match self.waiting.pop_front() {
            Some(message) => message,
            None => self.receive(),
        }
    }

    /// The next message that `pick` picks; what comes before it is dropped.
    #[track_caller]
    pub fn until<T>(&mut self, mut pick: impl FnMut(&Message) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let give_up = Instant::now() + DEADLINE;
        loop {
            let message = match self.waiting.pop_front() {
                Some(message) => message,
                None => self.receive_before(give_up).unwrap_or_else(|why| panic!("{why}; seen: {seen:#?}")),
            };
            let message = message.message.unwrap();
            if let Some(picked) = pick(&message) {
                return picked;
            }
            seen.push(message);
        }
    }

    /// The next notes.
    #[track_caller]
    pub fn midi(&mut self) -> MidiMessage {
        self.until(|message| match message {
            Message::MidiMessage(midi) => Some(midi.clone()),
            _ => None,
        })
    }

    /// The next line of chat, with its speaker's number.
    #[track_caller]
    pub fn line(&mut self) -> (u32, String) {
        self.until(|message| match message {
            Message::RoomChatMessage(line) => Some((line.participant, line.message.clone())),
            _ => None,
        })
    }

    /// All that the server has sent so far, in order, answers included: it is asked for the time, and what came before
    /// that answer is returned.
    #[track_caller]
    pub fn heard(&mut self) -> Vec<ClientMessage> {
        let answer = self.answer(say::time_sync(0));
        assert!(matches!(answer, Message::TimeSync(_)), "{answer:?}");
        self.waiting.drain(..).collect()
    }

    /// As [`Client::heard`], without request ids.
    #[track_caller]
    pub fn events(&mut self) -> Vec<Message> {
        self.heard().into_iter().map(|message| message.message.unwrap()).collect()
    }

    /// How the connection ends; what comes before is dropped.
    #[track_caller]
    pub fn ending(&mut self) -> Ending {
        self.until_end().1
    }

    /// What comes before the end, and the end.
    #[track_caller]
    pub fn until_end(&mut self) -> (Vec<ClientMessage>, Ending) {
        let mut before: Vec<_> = self.waiting.drain(..).collect();
        let give_up = Instant::now() + DEADLINE;
        loop {
            match self.receive_before(give_up) {
                Ok(message) => before.push(message),
                Err(_) if self.ending.is_some() => return (before, self.ending.clone().unwrap()),
                Err(why) => panic!("{why}"),
            }
        }
    }

    /// Whether the connection has ended, as far as it has been read.
    pub fn has_ended(&mut self) -> bool {
        while let Ok(got) = self.incoming.try_recv() {
            if let Some(message) = self.take_in(got) {
                self.waiting.push_back(message);
            }
        }
        self.ending.is_some()
    }

    /// Says good-bye and waits for the server's.
    #[track_caller]
    pub fn close(mut self) -> Ending {
        self.write(&close_frame(1000, ""));
        self.ending()
    }

    #[track_caller]
    fn receive(&mut self) -> ClientMessage {
        self.receive_before(Instant::now() + DEADLINE).unwrap_or_else(|why| panic!("{why}"))
    }

    fn receive_before(&mut self, give_up: Instant) -> Result<ClientMessage, String> {
        loop {
            if let Some(ending) = &self.ending {
                return Err(format!("the connection ended: {ending:?}"));
            }
            match self.incoming.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
                Ok(got) => {
                    if let Some(message) = self.take_in(got) {
                        return Ok(message);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Err(format!("nothing came within {DEADLINE:?}")),
                Err(RecvTimeoutError::Disconnected) => return Err("the reading thread has failed".to_owned()),
            }
        }
    }

    fn take_in(&mut self, got: Got) -> Option<ClientMessage> {
        match got {
            Got::Message(message) => return Some(*message),
            Got::Ping(_) => self.pings += 1,
            Got::Pong(_) => {}
            Got::End(ending) => self.ending = Some(ending),
        }
        None
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let result = reader.join();
            if !thread::panicking() {
                result.expect("what the server sends can be read");
            }
        }
    }
}
