//! The handshake, and a connection whose every byte the test sends and reads itself.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use pianorhythm_server::protocol::{
    SUBPROTOCOL_JSON, SUBPROTOCOL_PROTOBUF,
    codec::{self, Format},
    wire::{ClientMessage, ServerMessage, server_message::Message},
};
use socket2::{Domain, Socket as Socket2, Type};
use tungstenite::{
    ClientRequestBuilder, Error, HandshakeError, Message as Frame, WebSocket,
    client::IntoClientRequest as _,
    handshake::client::Response,
    protocol::frame::{
        FrameHeader,
        coding::{Control, Data, OpCode},
    },
};

use super::{DEADLINE, client::Client};

/// A connection to be opened.
#[derive(Clone)]
pub struct Connect {
    address: SocketAddr,
    format: Format,
    subprotocols: Vec<&'static str>,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    receive_buffer: Option<usize>,
    from: Option<[u8; 4]>,
    early: Vec<u8>,
}

/// The answer to a handshake that was not granted.
#[derive(Debug)]
pub struct Refused {
    pub status: u16,
    pub body: serde_json::Value,
}

impl Refused {
    /// The code in the body's envelope.
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap()
    }
}

impl Connect {
    pub fn to(address: SocketAddr, format: Format) -> Self {
        let subprotocol = match format {
            Format::Protobuf => SUBPROTOCOL_PROTOBUF,
            Format::Json => SUBPROTOCOL_JSON,
        };
        Self {
            address,
            format,
            subprotocols: vec![subprotocol],
            query: Vec::new(),
            headers: Vec::new(),
            receive_buffer: None,
            from: None,
            early: Vec::new(),
        }
    }

    pub fn name(self, name: &str) -> Self {
        self.query("name", name)
    }

    pub fn room(self, room: &str) -> Self {
        self.query("room", room)
    }

    pub fn query(mut self, name: &'static str, value: &str) -> Self {
        self.query.push((name, value.to_owned()));
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// An access or a guest token in the header.
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// What is offered instead of the format's own subprotocol.
    pub fn subprotocols(mut self, offered: &[&'static str]) -> Self {
        self.subprotocols = offered.to_vec();
        self
    }

    /// How much the kernel takes in for a client that does not read, in bytes.
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Messages to be sent in the same write as the request.
    pub fn early(mut self, messages: &[Message]) -> Self {
        let frames = messages.iter().map(|message| frame_of(self.format, &ServerMessage::event(message.clone())));
        self.early = frames.collect::<Vec<_>>().concat();
        self
    }

    /// Another address of this machine to come from.
    pub fn from(mut self, address: [u8; 4]) -> Self {
        self.from = Some(address);
        self
    }

    /// Opens it, welcomed, with a thread that reads.
    pub fn client(self) -> Client {
        Client::new(self.open())
    }

    /// Opens it.
    pub fn open(self) -> Socket {
        self.try_open().unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    /// Opens it, or says how it was refused.
    pub fn try_open(self) -> Result<Socket, Refused> {
        let stream = self.stream().unwrap();
        let uri = format!("ws://{}/api/websocket{}", self.address, self.query_text()).parse().unwrap();
        let mut request = ClientRequestBuilder::new(uri);
        for subprotocol in &self.subprotocols {
            request = request.with_sub_protocol(*subprotocol);
        }
        for (name, value) in &self.headers {
            request = request.with_header(*name, value);
        }
        let writer = Writer(Arc::new(Mutex::new(stream.try_clone().unwrap())));
        let stream = Duplex { stream, writer, early: self.early };
        match tungstenite::client(request.into_client_request().unwrap(), stream) {
            Ok((websocket, response)) => Ok(Socket { format: self.format, response, websocket, is_over: None }),
            Err(HandshakeError::Failure(Error::Http(response))) => {
                let body = response.body().as_deref().unwrap_or_default();
                let body = serde_json::from_slice(body).unwrap_or_default();
                Err(Refused { status: response.status().as_u16(), body })
            }
            Err(error) => panic!("the handshake failed: {error}"),
        }
    }

    fn stream(&self) -> io::Result<TcpStream> {
        let socket = Socket2::new(Domain::IPV4, Type::STREAM, None)?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(from) = self.from {
            socket.bind(&SocketAddr::from((from, 0)).into())?;
        }
        socket.connect(&self.address.into())?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(stream)
    }

    fn query_text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.query {
            text.push_str(if text.is_empty() { "?" } else { "&" });
            text.push_str(name);
            text.push('=');
            for byte in value.bytes() {
                if byte.is_ascii_alphanumeric() {
                    text.push(char::from(byte));
                } else {
                    text.push_str(&format!("%{byte:02X}"));
                }
            }
        }
        text
    }
}

/// Writes whole frames, from whichever thread.
#[derive(Clone)]
pub struct Writer(Arc<Mutex<TcpStream>>);

impl Writer {
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes)
    }
}

/// The stream as tungstenite reads it: what it writes by itself, pongs and closes, takes its turn with the test's writes.
pub struct Duplex {
    stream: TcpStream,
    writer: Writer,
    /// Goes with the first write.
    early: Vec<u8>,
}

impl Read for Duplex {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                // A thread that has started a server in this process is woken up when its rings are taken down.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl Write for Duplex {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let early = std::mem::take(&mut self.early);
        self.writer.write(&[bytes, &early].concat())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What came from the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Got {
    Message(Box<ClientMessage>),
    Ping(Bytes),
    Pong(Bytes),
    /// The end of the connection: nothing comes after it.
    End(Ending),
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The server's one close frame, where there was one.
    pub close: Option<(u16, String)>,
    /// What went wrong, where it did not end in order: anything after a close frame, a second close, or none.
    pub error: Option<String>,
}

impl Ending {
    /// The code of a close in order.
    #[track_caller]
    pub fn code(&self) -> u16 {
        assert_eq!(self.error, None, "{self:?}");
        self.close.as_ref().unwrap_or_else(|| panic!("{self:?}")).0
    }
}

/// An open connection. It reads only when it is asked to.
pub struct Socket {
    pub format: Format,
    /// The 101.
    pub response: Response,
    websocket: WebSocket<Duplex>,
    is_over: Option<Ending>,
}

impl Socket {
    pub fn stream(&self) -> &TcpStream {
        &self.websocket.get_ref().stream
    }

    pub fn writer(&self) -> Writer {
        self.websocket.get_ref().writer.clone()
    }

    /// Sends bytes as they are.
    pub fn write(&self, bytes: &[u8]) {
        self.writer().write(bytes).unwrap();
    }

    /// Sends a message.
    pub fn send(&self, message: Message) {
        self.write(&frame_of(self.format, &ServerMessage::event(message)));
    }

    /// Sends a message with a request id.
    pub fn ask(&self, request_id: u32, message: Message) {
        self.write(&frame_of(self.format, &ServerMessage::request(Some(request_id), message)));
    }

    /// What comes next. After the end, the end again.
    pub fn read(&mut self) -> Got {
        self.try_read().unwrap_or_else(|| panic!("nothing came within {DEADLINE:?}"))
    }

    /// What comes next, where something does before the stream's time is up, or at once where that is not to wait.
    pub fn try_read(&mut self) -> Option<Got> {
        if let Some(ending) = &self.is_over {
            return Some(Got::End(ending.clone()));
        }
        Some(match self.websocket.read() {
            Ok(Frame::Binary(bytes)) => Got::Message(Box::new(self.decode(Format::Protobuf, &bytes))),
            Ok(Frame::Text(text)) => Got::Message(Box::new(self.decode(Format::Json, text.as_bytes()))),
            Ok(Frame::Ping(payload)) => Got::Ping(payload),
            Ok(Frame::Pong(payload)) => Got::Pong(payload),
            Ok(Frame::Close(close)) => {
                let close = close.map_or((1005, String::new()), |close| (close.code.into(), close.reason.to_string()));
                let error = match self.websocket.read() {
                    Err(Error::ConnectionClosed) => None,
                    // Our answer to the close found the server gone: it had its answer before, or did not wait.
                    Err(Error::Io(error)) if is_gone(&error) => None,
                    Err(error) => Some(error.to_string()),
                    Ok(frame) => Some(format!("after the close came {frame:?}")),
                };
                self.over(Some(close), error)
            }
            Ok(Frame::Frame(_)) => unreachable!("reading gives whole messages"),
            Err(Error::Io(error)) if is_timeout(&error) => return None,
            Err(error) => self.over(None, Some(error.to_string())),
        })
    }

    /// The next message, whatever control frames come between.
    #[track_caller]
    pub fn message(&mut self) -> ClientMessage {
        loop {
            match self.read() {
                Got::Message(message) => return *message,
                Got::Ping(_) | Got::Pong(_) => {}
                Got::End(ending) => panic!("the connection ended: {ending:?}"),
            }
        }
    }

    /// How it ends, whatever comes before.
    pub fn ending(&mut self) -> Ending {
        loop {
            if let Got::End(ending) = self.read() {
                return ending;
            }
        }
    }

    fn over(&mut self, close: Option<(u16, String)>, error: Option<String>) -> Got {
        let ending = Ending { close, error };
        self.is_over = Some(ending.clone());
        Got::End(ending)
    }

    fn decode(&self, format: Format, payload: &[u8]) -> ClientMessage {
        assert_eq!(format, self.format, "the server answers in the format of the connection");
        let decoded = codec::decode_client(format, payload).unwrap();
        let typed = ClientMessage::answer(decoded.request_id, decoded.message.clone().unwrap());
        assert_eq!(decoded, typed, "the type that a message claims is its own");
        decoded
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

pub const TEXT: OpCode = OpCode::Data(Data::Text);
pub const BINARY: OpCode = OpCode::Data(Data::Binary);
pub const CONTINUATION: OpCode = OpCode::Data(Data::Continue);
pub const PING: OpCode = OpCode::Control(Control::Ping);
pub const PONG: OpCode = OpCode::Control(Control::Pong);
pub const CLOSE: OpCode = OpCode::Control(Control::Close);

/// One masked frame, the last of its message.
pub fn frame(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    frame_with(opcode, true, Some([0x37, 0xFA, 0x21, 0x3D]), payload)
}

/// One frame.
pub fn frame_with(opcode: OpCode, is_final: bool, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader { is_final, opcode, mask, ..FrameHeader::default() };
    let mut bytes = Vec::with_capacity(payload.len() + 14);
    header.format(payload.len() as u64, &mut bytes).unwrap();
    let mask = mask.unwrap_or_default();
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// A message in its frame.
pub fn frame_of(format: Format, message: &ServerMessage) -> Vec<u8> {
    let mut payload = Vec::new();
    codec::encode_server(format, message, &mut payload);
    frame(data_of(format), &payload)
}

/// The op code of a format's messages.
pub fn data_of(format: Format) -> OpCode {
    match format {
        Format::Protobuf => BINARY,
        Format::Json => TEXT,
    }
}

/// A close frame.
pub fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}
