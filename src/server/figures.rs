//! What a shard counts. Written by the shard alone, read by anyone at any time.

use crate::{actor::figure::Figure, protocol::close::CloseCode};

macro_rules! figures {
    ($($(#[doc = $help:literal])* $name:ident: $kind:ident $metric:literal $labels:literal;)*) => {
        /// One shard's figures.
        #[derive(Debug, Default)]
        pub struct Figures { $($(#[doc = $help])* pub $name: Figure,)* }

        impl Figures {
            /// Every figure: its kind, metric, further labels, help, and how to read it.
            pub const ALL: &[Series] = &[$(Series {
                counter: figures!(@ $kind), metric: $metric, labels: $labels, help: concat!($($help),*),
                read: |figures| figures.$name.get(),
            },)*];
        }
    };
    (@ counter) => { true };
    (@ gauge) => { false };
}

/// One time series of a shard.
pub struct Series {
    /// It only rises; otherwise it is a gauge.
    pub counter: bool,
    /// The metric's name.
    pub metric: &'static str,
    /// Labels beside the shard's, as they are written.
    pub labels: &'static str,
    /// What it says.
    pub help: &'static str,
    /// Its value.
    pub read: fn(&Figures) -> u64,
}

figures! {
    /// Server time of the shard's last heartbeat, in microseconds.
    heartbeat_us: gauge "pianorhythm_shard_heartbeat_us" "";
    /// Turns: in each it takes in what has come, and sends each other shard at most one batch a room.
    turns: counter "pianorhythm_shard_turns_total" "";
    /// Times the shard stood still for a quarter of a second or longer.
    stalls: counter "pianorhythm_shard_stalls_total" "";
    /// How long it stood still then altogether, in milliseconds.
    stalled_ms: counter "pianorhythm_shard_stalled_ms_total" "";
    /// Connections on the shard.
    connections: gauge "pianorhythm_connections" "";
    /// Rooms on the shard.
    rooms: gauge "pianorhythm_rooms" "";
    /// Users whose actor is on the shard.
    users: gauge "pianorhythm_users" "";
    /// Share of the core in use, in thousandths.
    usage_permille: gauge "pianorhythm_shard_usage_permille" "";
    /// Branches on the shard, of rooms that live on others.
    branches: gauge "pianorhythm_branches" "";
    /// Members in branches on the shard.
    branch_members: gauge "pianorhythm_branch_members" "";
    /// Messages from clients.
    messages_in: counter "pianorhythm_messages_in_total" "";
    /// MIDI messages relayed, counted once a message.
    midi_relayed: counter "pianorhythm_midi_relayed_total" "";
    /// Frames queued for members.
    deliveries: counter "pianorhythm_deliveries_total" "";
    /// Write calls to sockets that moved a whole outbox or less.
    flushes: counter "pianorhythm_flushes_total" "";
    /// Joins that ended in a seat.
    joins: counter "pianorhythm_joins_total" "";
    /// Connections handed to another shard.
    moves_out: counter "pianorhythm_moves_total" "direction=\"out\"";
    /// Connections taken from another shard.
    moves_in: counter "pianorhythm_moves_total" "direction=\"in\"";
    /// Members that rooms of the shard have handed on to branches.
    spilled_out: counter "pianorhythm_spilled_total" "direction=\"out\"";
    /// Members that have come back from branches.
    spilled_back: counter "pianorhythm_spilled_total" "direction=\"back\"";
    /// Turns in which a member was to be handed on and no shard had a place for it.
    spill_waits: counter "pianorhythm_spill_waits_total" "reason=\"no_place\"";
    /// Batches that a shard's inbox had no room for and that were sent again in a later turn.
    spill_refused: counter "pianorhythm_spill_waits_total" "reason=\"inbox_full\"";
    /// Members of rooms of the shard that live on others, or are on their way back.
    members_away: gauge "pianorhythm_members_away" "";
    /// Batches that branches have not been through, as far as they have said.
    spill_pending_batches: gauge "pianorhythm_spill_pending_batches" "";
    /// Bytes that wait because a branch takes nothing in.
    spill_pending_bytes: gauge "pianorhythm_spill_pending_bytes" "";
    /// Batches of branches that wait for their rooms.
    spill_inward_waiting: gauge "pianorhythm_spill_inward_waiting" "";
    /// Batches sent to branches.
    spill_batches_out: counter "pianorhythm_spill_batches_total" "direction=\"out\"";
    /// Batches sent by branches to their rooms.
    spill_batches_in: counter "pianorhythm_spill_batches_total" "direction=\"in\"";
    /// Bytes of frames sent to branches.
    spill_bytes_out: counter "pianorhythm_spill_bytes_total" "";
    /// What members in branches have said to rooms of the shard.
    spill_items_in: counter "pianorhythm_spill_messages_in_total" "";
    /// MIDI messages not sent to a branch that takes nothing in, counted once for each member who misses them.
    shed_spill_midi: counter "pianorhythm_dropped_total" "reason=\"spill_midi\"";
    /// Avatar positions not sent to a branch that takes nothing in, counted the same way.
    shed_spill_cursors: counter "pianorhythm_dropped_total" "reason=\"spill_cursor\"";
    /// Requests from branches of members that were out of the room already.
    spill_gone: counter "pianorhythm_dropped_total" "reason=\"spill_gone\"";
    /// Gaps told to members that had fallen behind.
    gaps_slow: counter "pianorhythm_gaps_total" "reason=\"slow_consumer\"";
    /// Gaps told to branches that had taken nothing in, each for all its members.
    gaps_spill: counter "pianorhythm_gaps_total" "reason=\"spill\"";
    /// Branches given up, with their members, because they took nothing in for too long.
    branches_given_up: counter "pianorhythm_branches_given_up_total" "";
    /// Requests answered with an error.
    rejections: counter "pianorhythm_rejections_total" "";
    /// MIDI messages shed for members that fall behind.
    shed_midi: counter "pianorhythm_dropped_total" "reason=\"slow_consumer_midi\"";
    /// Avatar positions shed for members that fall behind.
    shed_cursors: counter "pianorhythm_dropped_total" "reason=\"slow_consumer_cursor\"";
    /// Messages of clients that were rate-limited.
    rate_limited: counter "pianorhythm_dropped_total" "reason=\"rate_limit\"";
    /// Reads put off because a connection sent more than its share of bytes.
    throttled: counter "pianorhythm_throttled_reads_total" "";
    /// Pongs not sent to a client that floods with pings.
    pings_ignored: counter "pianorhythm_dropped_total" "reason=\"ping_flood\"";
    /// Notes that a room's rules forbid, of members who were told so a moment before.
    forbidden: counter "pianorhythm_dropped_total" "reason=\"not_allowed\"";
    /// Note events over the quota; their players are told how many.
    refused_events: counter "pianorhythm_note_events_refused_total" "";
    /// Answers whose connection had ended.
    answers_lost: counter "pianorhythm_dropped_total" "reason=\"connection_gone\"";
    /// Messages to shards whose inbox and backlog were full.
    inbox_full: counter "pianorhythm_dropped_total" "reason=\"inbox_full\"";
    /// Requests that the back office had no room for.
    back_office_full: counter "pianorhythm_dropped_total" "reason=\"back_office_full\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_normal: counter "pianorhythm_closed_total" "code=\"1000\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_going_away: counter "pianorhythm_closed_total" "code=\"1001\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_protocol: counter "pianorhythm_closed_total" "code=\"1002\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_unsupported: counter "pianorhythm_closed_total" "code=\"1003\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_invalid_utf8: counter "pianorhythm_closed_total" "code=\"1007\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_too_big: counter "pianorhythm_closed_total" "code=\"1009\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_restarting: counter "pianorhythm_closed_total" "code=\"3001\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_idle: counter "pianorhythm_closed_total" "code=\"3002\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_internal: counter "pianorhythm_closed_total" "code=\"3003\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_identity_changed: counter "pianorhythm_closed_total" "code=\"3004\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_too_slow: counter "pianorhythm_closed_total" "code=\"3008\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_kicked: counter "pianorhythm_closed_total" "code=\"3501\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_banned: counter "pianorhythm_closed_total" "code=\"3502\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_unauthorised: counter "pianorhythm_closed_total" "code=\"3503\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_undecodable: counter "pianorhythm_closed_total" "code=\"3504\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_resumed_elsewhere: counter "pianorhythm_closed_total" "code=\"3505\"";
    /// Connections that ended, by the code they were closed with, or how else.
    closed_rate_limit: counter "pianorhythm_closed_total" "code=\"3506\"";
    /// Connections that ended, by the code they were closed with, or how else: by the client's good-bye.
    good_byes: counter "pianorhythm_closed_total" "code=\"client\"";
    /// Connections that ended, by the code they were closed with, or how else: without a close.
    lost: counter "pianorhythm_closed_total" "code=\"lost\"";
    /// MIDI messages whose timestamp was clamped.
    clamped: counter "pianorhythm_timestamps_clamped_total" "";
    /// Handlers that panicked.
    panics: counter "pianorhythm_panics_total" "";
}

impl Figures {
    /// How many connections were closed with a code.
    pub fn closed(&self, code: CloseCode) -> &Figure {
        match code {
            CloseCode::Normal => &self.closed_normal,
            CloseCode::GoingAway => &self.closed_going_away,
            CloseCode::Protocol => &self.closed_protocol,
            CloseCode::Unsupported => &self.closed_unsupported,
            CloseCode::InvalidUtf8 => &self.closed_invalid_utf8,
            CloseCode::TooBig => &self.closed_too_big,
            CloseCode::Restarting => &self.closed_restarting,
            CloseCode::Idle => &self.closed_idle,
            CloseCode::Internal => &self.closed_internal,
            CloseCode::IdentityChanged => &self.closed_identity_changed,
            CloseCode::TooSlow => &self.closed_too_slow,
            CloseCode::Kicked => &self.closed_kicked,
            CloseCode::Banned => &self.closed_banned,
            CloseCode::Unauthorised => &self.closed_unauthorised,
            CloseCode::Undecodable => &self.closed_undecodable,
            CloseCode::ResumedElsewhere => &self.closed_resumed_elsewhere,
            CloseCode::RateLimit => &self.closed_rate_limit,
        }
    }

    /// Appends all shards' figures in the Prometheus text format.
    pub fn render(shards: &[std::sync::Arc<Self>], out: &mut String) {
        use std::fmt::Write as _;
        let mut described = Vec::new();
        for series in Self::ALL {
            if !described.contains(&series.metric) {
                described.push(series.metric);
                let kind = if series.counter { "counter" } else { "gauge" };
                let _ = write!(out, "# HELP {0} {1}\n# TYPE {0} {kind}\n", series.metric, series.help.trim());
                for same in Self::ALL.iter().filter(|other| other.metric == series.metric) {
                    for (number, figures) in shards.iter().enumerate() {
                        let comma = if same.labels.is_empty() { "" } else { "," };
                        let value = (same.read)(figures);
                        let _ = writeln!(out, "{}{{shard=\"{number}\"{comma}{}}} {value}", same.metric, same.labels);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn each_code_of_the_table_is_counted_under_its_own_number() {
        for &code in CloseCode::ALL {
            let figures = Arc::new(Figures::default());
            figures.closed(code).add(1);
            let mut out = String::new();
            Figures::render(&[figures], &mut out);
            let line = format!("pianorhythm_closed_total{{shard=\"0\",code=\"{}\"}} 1\n", code.code());
            assert!(out.contains(&line), "{code:?}: {out}");
        }
    }

    #[test]
    fn every_metric_is_described_once_and_has_a_line_a_shard() {
        let shards = [Arc::new(Figures::default()), Arc::new(Figures::default())];
        shards[1].moves_in.add(3);
        let mut out = String::new();
        Figures::render(&shards, &mut out);
        assert_eq!(out.matches("# TYPE pianorhythm_moves_total counter").count(), 1);
        assert!(out.contains("pianorhythm_moves_total{shard=\"1\",direction=\"in\"} 3\n"), "{out}");
        assert!(out.contains("pianorhythm_connections{shard=\"0\"} 0\n"), "{out}");
    }
}
