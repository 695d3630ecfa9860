//! Stopping.

use super::*;

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_desk_that_accepts_no_more_serves_whom_it_has() {
    let house = House::open();
    let mut client = house.visit().await;
    client.send(HEALTH).await;
    client.answer().await;
    house.desk.as_ref().unwrap().stop_accepting();
    // The port is closed when the accept loop has noticed.
    while TcpStream::connect(house.public).await.is_ok() {}
    client.send(HEALTH).await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(house.ask("GET /health").await.status, 200, "operators can watch");
}

#[tokio::test]
async fn at_the_end_idle_connections_close_and_handed_off_sockets_live_on() {
    let mut house = House::open();
    let mut idle = house.visit().await;
    idle.send(HEALTH).await;
    idle.answer().await;
    let mut fresh = house.visit().await;
    let (mut player, _) = house.knock("", "").await;
    let admission = house.admitted().await;

    house.desk.take().unwrap().shutdown(Duration::from_secs(60)).await;
    assert_eq!(idle.rest().await, b"");
    assert_eq!(fresh.rest().await, b"");
    assert!(TcpStream::connect(house.public).await.is_err());
    assert!(TcpStream::connect(house.admin).await.is_err());

    let mut socket = TcpStream::from_std(admission.socket).unwrap();
    socket.write_all(b"still here").await.unwrap();
    assert_eq!(player.take(10).await, b"still here");
}

#[tokio::test]
async fn what_does_not_end_by_the_deadline_is_cut_off() {
    let mut house = House::open();
    house.decide(Verdict::Hang);
    let (mut client, _) = house.knock("", "").await;
    house.desk.take().unwrap().shutdown(Duration::from_millis(20)).await;
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_and_nothing_is_left_running() {
    let house = House::open();
    let settings = FrontDeskSettings { port: 0, admin_bind: Some(house.public), ..FrontDeskSettings::default() };
    let stage = Arc::<TestStage>::clone(&house.stage);
    let error = FrontDesk::start(&Handle::current(), settings, parts(house.tokens.clone(), stage)).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot listen on {}: ", house.public)), "{error}");
}
