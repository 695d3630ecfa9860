//! Where it happens: a server with its default limits, a band, and a book of what the server counted before.

use std::{collections::BTreeMap, net::SocketAddr};

use pianorhythm_server::protocol::codec::Format;
use tempfile::TempDir;

use crate::{
    band::Band,
    support::{
        eventually,
        figures::{Figures, descriptors, resident},
        process::{WatchedServer, command},
    },
};

/// Limits and times as by default, but three: empty rooms go at once, so that it is seen that they go; a machine that does
/// not run the band's own clients for seconds is no slow reader; and who is to be closed for what it does once it is in is let in
/// as often as it comes.
const SETTINGS: &[(&str, &str)] = &[
    ("ROOM_GRACE_TIME_MS", "100"),
    ("OUTBOX_SHED_AGE_MS", "300000"),
    ("OUTBOX_CLOSE_AGE_MS", "300000"),
    ("CONNECT_RATE_PER_ADDRESS", "unlimited"),
];

/// What the server's memory may grow by over a test.
///
/// The allocator keeps what was in use at the height of a flood, so this bounds the height as well. At most 100 connections an
/// address are there at a time, and the tests attack from four: 400 connections, each with less than a read buffer's 64 KiB
/// half read, would be 25 MiB. What a test sends in all, kept, would be more: and so would a leak of 40 KiB a connection.
const MAY_GROW: u64 = 25 << 20;

/// The server, the band, and the book.
pub struct Ground {
    pub server: WatchedServer,
    band: Band,
    before: Figures,
    descriptors: usize,
    resident: u64,
    _folder: TempDir,
}

impl Ground {
    pub fn open() -> Self {
        Self::with(&[])
    }

    /// With these settings besides.
    pub fn with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let settings: Vec<_> = SETTINGS.iter().chain(settings).copied().collect();
        let server = WatchedServer::start(command(&data, &settings), &data);
        // Whatever is opened or allocated with the first connection is there from now on.
        for format in [Format::Protobuf, Format::Json] {
            server.server.guest(format, "First").close();
        }
        let band = Band::begin(&server.server);
        let ground = Self { band, before: Figures::default(), descriptors: 0, resident: 0, server, _folder: folder };
        eventually("only the band is there", || ground.is_quiet());
        let process = ground.server.server.id();
        let (before, descriptors) = (Figures::of(ground.admin()), descriptors(process));
        Self { before, descriptors, resident: resident(process), ..ground }
    }

    /// Where operators look.
    pub fn admin(&self) -> SocketAddr {
        self.server.admin
    }

    /// What the server has counted of a metric since the beginning, in the series whose labels hold this text.
    pub fn counted(&self, metric: &str, label: &str) -> u64 {
        Figures::of(self.admin()).since(&self.before).get(metric, label)
    }

    /// Waits until all that is hostile has ended, and returns what the server has counted since the beginning.
    #[track_caller]
    pub fn settled(&self) -> Counted {
        eventually("only the band is there again", || self.is_quiet());
        Counted(Figures::of(self.admin()).since(&self.before))
    }

    /// The end: the band has heard everything, and the server holds what it held before.
    #[track_caller]
    pub fn close(self, what: &str) {
        let process = self.server.server.id();
        self.settled();
        eventually("there are no more descriptors than before", || descriptors(process) <= self.descriptors);
        let counted = Figures::of(self.admin()).since(&self.before);
        assert_eq!(counted.get("pianorhythm_panics_total", ""), 0);
        assert_eq!(counted.get("pianorhythm_actor_panics_total", ""), 0);
        let now = resident(process);
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!("{what}: memory {:.1} MiB, {:.1} MiB before", mib(now), mib(self.resident));
        assert!(now < self.resident + MAY_GROW, "{what}: {now} bytes, {} before", self.resident);
        let played = self.band.end();
        println!("{what}: the band has played {played} notes each");
    }

    /// Nobody is there but the band, and nothing but its rooms.
    fn is_quiet(&self) -> bool {
        let now = Figures::of(self.admin());
        let gauges = [
            ("pianorhythm_connections", "", 9),
            ("pianorhythm_front_desk_connections", "", 9),
            ("pianorhythm_rooms", "", 3),
            ("pianorhythm_actors", "kind=\"connection\"", 9),
            ("pianorhythm_actors", "kind=\"room\"", 3),
        ];
        gauges.iter().all(|(metric, label, value)| now.get(metric, label) == *value)
    }
}

/// The address of a hostile one.
pub fn source(number: u8) -> [u8; 4] {
    [127, 7, 7, 1 + number]
}

/// What the server has counted over a time.
#[derive(Debug)]
pub struct Counted(pub Figures);

impl Counted {
    pub fn get(&self, metric: &str, label: &str) -> u64 {
        self.0.get(metric, label)
    }

    /// How many connections were closed, by code or how else; those that were not at all are left out.
    pub fn closed(&self) -> BTreeMap<String, u64> {
        self.0.by_label("pianorhythm_closed_total")
    }

    /// What was dropped, by reason.
    pub fn dropped(&self) -> BTreeMap<String, u64> {
        self.0.by_label("pianorhythm_dropped_total")
    }

    /// The one way in which all connections ended but those that said good-bye, as decent ones do.
    #[track_caller]
    pub fn all_closed(&self, how: &str, many: u64) {
        let mut closed = self.closed();
        closed.remove("code=\"client\"");
        assert_eq!(closed, BTreeMap::from([(format!("code=\"{how}\""), many)]));
    }

    /// The one reason for which something was dropped.
    #[track_caller]
    pub fn all_dropped(&self, reason: &str, many: u64) {
        let expected = (many > 0).then(|| (format!("reason=\"{reason}\""), many));
        assert_eq!(self.dropped(), expected.into_iter().collect());
    }
}
