//! What becomes of a socket after its 101.

use super::*;

/// The close frame at the head of these bytes: its code and reason.
fn close_frame(bytes: &[u8]) -> (u16, String) {
    assert_eq!((bytes[0], usize::from(bytes[1])), (0x88, bytes.len() - 2));
    (u16::from_be_bytes([bytes[2], bytes[3]]), String::from_utf8(bytes[4..].to_vec()).unwrap())
}

#[tokio::test]
async fn a_busy_stage_sends_the_client_away_with_a_delay() {
    let house = House::open();
    house.decide(Verdict::Refuse(RefusedReason::Busy));
    let (mut client, answer) = house.knock("", "").await;
    assert_eq!(answer.status, 101);
    // Frames that were on their way must not cost the client the answer.
    client.send([0x82; 4096]).await;
    let (code, reason) = close_frame(&client.rest().await);
    assert_eq!(code, 3001);
    let reason: Value = serde_json::from_str(&reason).unwrap();
    assert!((500..=5000).contains(&reason["retry_after_ms"].as_u64().unwrap()));
    assert_eq!(house.figure("pianorhythm_front_desk_hand_offs_total{result=\"busy\"}").await, 1);
    drop(client);
    house.await_figure("pianorhythm_front_desk_connections", 0).await;
}

#[tokio::test]
async fn a_banned_user_is_told_not_to_come_back() {
    let house = House::open();
    house.decide(Verdict::Refuse(RefusedReason::Banned));
    let (mut client, _) = house.knock("", "").await;
    assert_eq!(close_frame(&client.rest().await), (3502, String::new()));
    assert_eq!(house.figure("pianorhythm_front_desk_hand_offs_total{result=\"banned\"}").await, 1);
}

#[tokio::test]
async fn a_refused_client_that_does_not_close_is_cut_off() {
    let house = House::with(|settings| settings.upgrade_timeout = Duration::from_millis(50));
    house.decide(Verdict::Refuse(RefusedReason::Draining));
    let (_client, _) = house.knock("", "").await;
    house.await_figure("pianorhythm_front_desk_connections", 0).await;
}

#[tokio::test]
async fn a_stage_that_never_answers_costs_the_client_its_socket_and_no_more() {
    let house = House::with(|settings| settings.upgrade_timeout = Duration::from_millis(50));
    house.decide(Verdict::Hang);
    let (mut client, _) = house.knock("", "").await;
    assert_eq!(client.rest().await, b"");
    house.await_figure("pianorhythm_front_desk_hand_offs_total{result=\"timed_out\"}", 1).await;
    house.await_figure("pianorhythm_front_desk_connections", 0).await;
}

#[tokio::test]
async fn a_dropped_admission_closes_its_socket() {
    let house = House::open();
    house.decide(Verdict::Drop);
    let (mut client, _) = house.knock("", "").await;
    assert_eq!(client.rest().await, b"");
    house.await_figure("pianorhythm_front_desk_connections", 0).await;
}
