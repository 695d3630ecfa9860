use super::*;

const START: Timestamp = Timestamp::from_ms(1_700_000_000_000);

fn address(last: u32) -> IpAddr {
    IpAddr::from(last.to_be_bytes())
}

fn known(places: &Places) -> usize {
    places.lock().clients.len()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_place_given_back_can_be_taken_again() {
    let places = Places::new(2, 2, Rate::UNLIMITED);
    let first = places.take().unwrap();
    let _second = places.take().unwrap();
    assert_eq!(places.take().unwrap_err(), NoPlace::Total);
    drop(first);
    assert_eq!(places.taken(), 1);
    places.take().unwrap();
}

#[test]
fn an_address_has_its_own_share() {
    let places = Places::new(9, 1, Rate::UNLIMITED);
    let mut first = places.take().unwrap();
    places.assign(&mut first, address(1), START).unwrap();
    let mut second = places.take().unwrap();
    assert_eq!(places.come(address(1), START), Err(NoPlace::Address));
    assert_eq!(places.assign(&mut second, address(1), START), Err(NoPlace::Address));
    places.assign(&mut second, address(2), START).unwrap();
    drop(first);
    let mut third = places.take().unwrap();
    places.come(address(1), START).unwrap();
    places.assign(&mut third, address(1), START).unwrap();
}

#[test]
fn a_place_counted_anew_leaves_its_old_address() {
    let places = Places::new(9, 1, Rate::UNLIMITED);
    let mut place = places.take().unwrap();
    places.assign(&mut place, address(1), START).unwrap();
    places.assign(&mut place, address(2), START).unwrap();
    let mut other = places.take().unwrap();
    places.assign(&mut other, address(1), START).unwrap();
}

#[test]
fn who_comes_again_too_fast_waits_and_nobody_else_does() {
    let places = Places::new(99, 99, Rate::per_second(2, 3));
    for _ in 0..3 {
        places.come(address(1), START).unwrap();
    }
    assert_eq!(places.come(address(1), START), Err(NoPlace::Pace));
    places.come(address(2), START).unwrap();
    places.come(address(1), START + ms(500)).unwrap();
    for _ in 0..1000 {
        assert_eq!(places.come(address(1), START + ms(999)), Err(NoPlace::Pace));
    }
    // What was in vain has cost nothing.
    places.come(address(1), START + ms(1000)).unwrap();
}

#[test]
fn an_ipv6_network_comes_as_one() {
    let places = Places::new(99, 99, Rate::per_second(1, 2));
    let come = |host: u16| places.come(Ipv6Addr::new(0x2001, 0xDB8, 1, 2, 3, 4, 5, host).into(), START);
    assert_eq!([come(1), come(2), come(3)], [Ok(()), Ok(()), Err(NoPlace::Pace)]);
    places.come("2001:db8:1:3::1".parse().unwrap(), START).unwrap();
}

#[test]
fn an_address_at_its_cap_is_told_so_and_its_pace_is_not_touched() {
    let places = Places::new(99, 1, Rate::per_second(1, 2));
    let mut place = places.take().unwrap();
    places.come(address(1), START).unwrap();
    places.assign(&mut place, address(1), START).unwrap();
    for _ in 0..10 {
        assert_eq!(places.come(address(1), START), Err(NoPlace::Address));
    }
    drop(place);
    places.come(address(1), START).unwrap();
    assert_eq!(places.come(address(1), START), Err(NoPlace::Pace));
}

#[test]
fn a_clock_that_goes_back_lets_nobody_in_and_keeps_nobody_out_for_longer_than_it_takes_to_catch_up() {
    let places = Places::new(99, 99, Rate::per_second(1, 2));
    places.come(address(1), START).unwrap();
    places.come(address(1), START - ms(3_600_000)).unwrap();
    assert_eq!(places.come(address(1), START - ms(3_600_000)), Err(NoPlace::Pace));
    assert_eq!(places.come(address(1), START + ms(999)), Err(NoPlace::Pace));
    places.come(address(1), START + ms(1000)).unwrap();
    // One who is new is not kept waiting for the time that was lost.
    places.come(address(2), START - ms(3_600_000)).unwrap();
}

#[test]
fn without_a_pace_one_may_come_as_often_as_one_likes_and_is_not_remembered_for_it() {
    let places = Places::new(9, 9, Rate::UNLIMITED);
    for client in 0..100_000 {
        places.come(address(client % 1000), START).unwrap();
    }
    assert!(known(&places) <= 2 * SWEEP_MIN);
}

#[test]
fn an_address_is_remembered_until_it_may_do_all_again() {
    let places = Places::new(9, 9, Rate::per_second(1, 2));
    let come = |clients: std::ops::Range<u32>, now| {
        clients.for_each(|client| places.come(address(client), now).unwrap());
        known(&places)
    };
    assert_eq!(come(0..1000, START), 1000);
    assert_eq!(come(1000..2000, START + ms(999)), 2000);
    // The first thousand are forgotten by the time as many have come anew.
    assert!(come(2000..4000, START + ms(1000)) <= 3000);
}

#[test]
fn a_flood_of_addresses_is_bounded_and_who_came_most_often_is_known_throughout() {
    let places = Places::new(9, 9, Rate { capacity: 5, refill: 1, period_ms: u32::MAX });
    let often = address(0);
    (0..5).for_each(|_| places.come(often, START).unwrap());
    let mut mark = places.take().unwrap();
    places.come(address(1), START).unwrap();
    places.assign(&mut mark, address(1), START).unwrap();
    for client in 2..300_000 {
        places.come(address(client), START).unwrap();
        assert!(known(&places) <= 2 * MAX_IDLE + 1);
    }
    assert_eq!(places.come(often, START), Err(NoPlace::Pace));
    let by_address = places.lock();
    assert_eq!(by_address.clients[&address(1)].count.load(Relaxed), 1, "who is here is not forgotten");
}

#[test]
fn addresses_without_a_place_are_forgotten() {
    let places = Places::new(9, 1, Rate::UNLIMITED);
    for client in 0..10_000 {
        let mut place = places.take().unwrap();
        places.assign(&mut place, address(client), START).unwrap();
    }
    assert_eq!(places.taken(), 0);
    assert!(known(&places) <= 2 * SWEEP_MIN);
}

#[test]
fn one_is_told_when_to_come_again() {
    let told = |pace, reason| {
        let Rejection { code, details, .. } = Places::new(9, 9, pace).rejection(reason);
        (code, details.into_iter().find(|(name, _)| *name == "retry_after_ms").unwrap().1)
    };
    let (fast, slow) = (Rate::per_second(50, 500), Rate { capacity: 1, refill: 2, period_ms: 60_000 });
    assert_eq!(told(fast, NoPlace::Pace), (ErrorCode::RateLimit, "1000".into()));
    assert_eq!(told(slow, NoPlace::Pace), (ErrorCode::RateLimit, "30000".into()));
    assert_eq!(told(fast, NoPlace::Total), (ErrorCode::ServerBusy, "5000".into()));
    assert_eq!(told(fast, NoPlace::Address), (ErrorCode::ServerBusy, "5000".into()));
}

#[test]
fn one_ipv6_network_is_one_client_and_a_mapped_ipv4_is_that_ipv4() {
    assert_eq!(network_of("2001:db8:1:2:3::4".parse().unwrap()), network_of("2001:db8:1:2::9".parse().unwrap()));
    assert_ne!(network_of("2001:db8:1:2::".parse().unwrap()), network_of("2001:db8:1:3::".parse().unwrap()));
    assert_eq!(network_of("::ffff:10.0.0.1".parse().unwrap()), "10.0.0.1".parse::<IpAddr>().unwrap());
}
