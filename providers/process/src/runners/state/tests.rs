#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use wasmnode_provider_api::{Event, ExitReason, HostPath, Isolation};

use super::*;

fn run(n: u32) -> RunId {
    RunId::new(format!("{n:064x}")).unwrap()
}

fn sandbox(n: u32) -> SandboxId {
    SandboxId::new(format!("{n:064x}")).unwrap()
}

fn runner(n: u32) -> RunnerId {
    RunnerId::parse(&format!("{n:016x}")).unwrap()
}

fn spec(n: u32, isolation: Isolation) -> SandboxSpec {
    SandboxSpec {
        id: sandbox(n),
        name: String::new(),
        hostname: String::new(),
        addresses: Vec::new(),
        memory_limit: None,
        cpu_millis: None,
        isolation,
    }
}

fn isolation() -> Isolation {
    Isolation { group: "g".to_owned(), ..Isolation::default() }
}

fn facts() -> Facts {
    Facts { group: "g".to_owned(), user: None, build: "b".to_owned(), exclusive: None }
}

fn exit(n: u32, code: i32) -> Exit {
    let at = UNIX_EPOCH;
    Exit { run: run(n), code, reason: ExitReason::Exited, message: String::new(), started_at: at, finished_at: at }
}

fn begun(on: u32) -> Run {
    Run { runner: runner(on), sandbox: sandbox(0), container: "c".to_owned(), phase: RunPhase::Starting }
}

/// A state with these runners, ready, each with room for so many.
fn state(runners: u32, capacity: u32) -> State {
    let mut state = State::default();
    for n in 0..runners {
        state.add_runner(runner(n), facts());
        let asked = state.tick();
        let effects = state.absorb(&runner(n), asked, Listing::default(), UNIX_EPOCH);
        assert_eq!(effects, Effects::default());
        state.sized(&runner(n), capacity);
    }
    state
}

#[test]
fn sandboxes_fill_one_runner_before_the_next_and_stay_among_their_own() {
    let mut state = state(2, 32);
    let place = |state: &mut State, n, isolation: &Isolation, build: &str| {
        let taken = state.take_place(&sandbox(n), isolation, build, None);
        taken.map(|id| u32::from_str_radix(id.as_str(), 16).unwrap())
    };
    let placed: Vec<_> = (0..61).map(|n| place(&mut state, n, &isolation(), "b")).collect();
    // Two of 32 places are kept for further containers.
    assert_eq!(placed.iter().filter(|at| **at == Some(0)).count(), 30);
    assert_eq!(placed.iter().filter(|at| **at == Some(1)).count(), 30);
    assert_eq!(placed[60], None);
    assert!(placed[..30].iter().all(|at| *at == placed[0]));
    state.add_runner(runner(2), Facts { exclusive: Some(sandbox(99)), ..facts() });
    let _nothing = state.absorb(&runner(2), 1, Listing::default(), UNIX_EPOCH);
    state.sized(&runner(2), 32);
    let paths = vec![HostPath { path: "/x".into(), read_only: true }];
    let alone = Isolation { paths, ..isolation() };
    let other_group = Isolation { group: "h".to_owned(), ..isolation() };
    let other_user = Isolation { user: Some(7), ..isolation() };
    for (n, isolation, build, at) in [
        (98, &alone, "b", None),
        (99, &isolation(), "b", None),
        (99, &other_group, "b", None),
        (99, &other_user, "b", None),
        (99, &alone, "another", None),
        (99, &alone, "b", Some(2)),
    ] {
        assert_eq!(place(&mut state, n, isolation, build), at, "{n} {isolation:?} {build}");
    }
    assert!(!state.end(&runner(2), false));
    state.remove_sandbox(&sandbox(99));
    assert!(state.end(&runner(2), false));
    assert_eq!(place(&mut state, 99, &alone, "b"), None);
}

#[test]
fn a_sandbox_outlives_its_runner_and_another_group_cannot_claim_it() {
    let mut state = state(0, 0);
    assert_eq!(state.admit_sandbox(&spec(1, isolation())), Ok(true));
    assert_eq!(state.admit_sandbox(&spec(1, isolation())), Ok(false));
    assert!(state.admit_sandbox(&SandboxSpec { hostname: "x".to_owned(), ..spec(1, isolation()) }).is_err());
    state.add_runner(runner(1), Facts { group: "thief".to_owned(), ..facts() });
    state.add_runner(runner(2), facts());
    let listing = || Listing { sandboxes: vec![sandbox(1), sandbox(9)], ..Listing::default() };
    for n in [1, 2] {
        let effects = state.absorb(&runner(n), 0, listing(), UNIX_EPOCH);
        assert_eq!(effects.remove, [sandbox(9)]);
    }
    assert_eq!(state.sandbox(&sandbox(1)).unwrap().1, Some(&runner(2)));
    let effects = state.bury(&runner(2), Vec::new(), "x", UNIX_EPOCH);
    assert_eq!(effects.cleared, Some(runner(2)));
    assert_eq!(state.sandbox(&sandbox(1)).unwrap().1, None);
}

#[test]
fn a_runner_speaks_for_its_own_runs_only() {
    let mut state = state(2, 9);
    state.begin(run(1), begun(0)).unwrap();
    assert!(state.begin(run(1), begun(1)).is_err());
    assert!(state.started(&run(1), UNIX_EPOCH));
    let before = state.list();
    for event in [Event::Exited(exit(1, 0)), Event::FirstRequest { run: run(1) }] {
        assert!(state.learn(&runner(1), event).events.is_empty());
    }
    let lies = Listing { exits: vec![exit(1, 0), exit(7, 0)], ..Listing::default() };
    assert!(state.absorb(&runner(1), 99, lies, UNIX_EPOCH).events.is_empty());
    assert!(state.bury(&runner(1), vec![exit(1, 0)], "x", UNIX_EPOCH).events.is_empty());
    assert_eq!(state.list(), before);
    let huge = Exit { message: "é".repeat(9999), ..exit(1, 70_000) };
    let effects = state.learn(&runner(0), Event::Exited(huge));
    let Some(Event::Exited(exit)) = effects.events.last() else { panic!("{effects:?}") };
    assert_eq!((exit.code, exit.message.len()), (255, 4096));
}

#[test]
fn a_first_request_is_reported_once() {
    let mut state = state(1, 9);
    state.begin(run(1), begun(0)).unwrap();
    let first = Event::FirstRequest { run: run(1) };
    assert!(state.learn(&runner(0), first.clone()).events.is_empty(), "it has not begun");
    assert_eq!(state.learn(&runner(0), Event::Started { run: run(1), at: UNIX_EPOCH }).events.len(), 1);
    assert_eq!(state.learn(&runner(0), first.clone()).events, std::slice::from_ref(&first));
    for _ in 0..2 {
        assert!(state.learn(&runner(0), first.clone()).events.is_empty());
    }
}

/// A runner as it really is.
#[derive(Debug, Default)]
struct Real {
    live: BTreeSet<u32>,
    exits: BTreeSet<u32>,
    /// Sent and not read.
    events: VecDeque<Event>,
}

/// Run, runner, and what the caller would get: an error is the runner's own, or no answer at all.
type Answer = (u32, u32, Result<(), bool>);

/// What the agent's caller knows.
#[derive(Debug, Default, Clone)]
struct Told {
    ok: bool,
    failed: bool,
    started: u32,
    exited: u32,
    acknowledged: bool,
}

#[derive(Debug)]
struct World {
    state: State,
    real: BTreeMap<u32, Real>,
    told: BTreeMap<u32, Told>,
    /// Files: runs that were recorded, by runner.
    recorded: BTreeMap<u32, BTreeSet<u32>>,
    /// Of starts under way.
    answers: VecDeque<Answer>,
    /// Listings under way.
    listings: VecDeque<(u32, u64, Listing)>,
    next: u32,
}

fn number(id: &RunId) -> u32 {
    u32::from_str_radix(&id.as_str()[56..], 16).unwrap()
}

impl Real {
    fn start(&mut self, n: u32) {
        self.live.insert(n);
        self.events.push_back(Event::Started { run: run(n), at: UNIX_EPOCH });
    }

    fn end(&mut self, n: u32) {
        if self.live.remove(&n) {
            self.exits.insert(n);
            self.events.push_back(Event::Exited(exit(n, 0)));
        }
    }

    fn list(&self) -> Listing {
        let container = || "c".to_owned();
        let listed =
            |n: &u32| ListedRun { run: run(*n), sandbox: sandbox(0), container: container(), started_at: UNIX_EPOCH };
        Listing {
            sandboxes: Vec::new(),
            runs: self.live.iter().map(listed).collect(),
            exits: self.exits.iter().map(|n| exit(*n, 0)).collect(),
        }
    }
}

impl World {
    fn new() -> Self {
        let real = BTreeMap::from([(0, Real::default()), (1, Real::default())]);
        Self {
            state: state(2, 99),
            real,
            told: BTreeMap::new(),
            recorded: BTreeMap::new(),
            answers: VecDeque::new(),
            listings: VecDeque::new(),
            next: 10,
        }
    }

    fn carry_out(&mut self, on: u32, effects: Effects) {
        for event in effects.events {
            match event {
                Event::Started { run, .. } => self.told.get_mut(&number(&run)).unwrap().started += 1,
                Event::Exited(exit) => {
                    let n = number(&exit.run);
                    let has = |real: &Real| real.live.contains(&n) || real.exits.contains(&n);
                    assert!(
                        exit.reason != ExitReason::Lost || !self.real.get(&on).is_some_and(has),
                        "run {n} is not lost"
                    );
                    self.told.get_mut(&n).unwrap().exited += 1;
                }
                Event::FirstRequest { .. } => {}
            }
        }
        for forgotten in effects.forgotten {
            self.recorded.get_mut(&on).unwrap().remove(&number(&forgotten));
        }
        if let Some(real) = self.real.get_mut(&on) {
            effects.acknowledge.iter().for_each(|run| {
                real.exits.remove(&number(run));
            });
            effects.kill.iter().for_each(|run| real.end(number(run)));
        }
    }

    fn step(&mut self, op: u8, pick: u32) {
        let on = *self.real.keys().nth(pick as usize % self.real.len()).unwrap();
        match op {
            0..=2 => self.start(on, pick),
            3..=4 => self.answer(),
            5..=6 => self.deliver(on),
            7 => {
                let some = self.real[&on].live.iter().nth(pick as usize / 2 % 3).copied();
                some.into_iter().for_each(|n| self.real.get_mut(&on).unwrap().end(n));
            }
            8 => {
                let asked = self.state.tick();
                self.listings.push_back((on, asked, self.real[&on].list()));
            }
            9 => self.listed(),
            10 => self.reconnect(on),
            11 => self.acknowledge(pick),
            12 => self.die(on, pick),
            _ => self.restart(),
        }
    }

    fn start(&mut self, on: u32, pick: u32) {
        let n = self.next;
        self.next += 1;
        self.state.begin(run(n), begun(on)).unwrap();
        self.recorded.entry(on).or_default().insert(n);
        self.told.insert(n, Told::default());
        let answer = match pick / 2 % 6 {
            0 => Err(true),
            1 => Err(false),
            _ => Ok(()),
        };
        // Without an answer it may have begun all the same.
        if answer.is_ok() || (answer == Err(false) && pick % 5 < 3) {
            self.real.get_mut(&on).unwrap().start(n);
        }
        self.answers.push_back((n, on, answer));
    }

    fn answer(&mut self) {
        let Some((n, on, answer)) = self.answers.pop_front() else { return };
        let ok = match answer {
            Ok(()) => self.state.started(&run(n), UNIX_EPOCH),
            Err(true) => {
                let effects = self.state.refused(&run(n));
                self.carry_out(on, effects);
                false
            }
            Err(false) => self.state.unanswered(&run(n)),
        };
        let told = self.told.get_mut(&n).unwrap();
        (told.ok, told.failed) = (ok, !ok);
    }

    fn deliver(&mut self, on: u32) {
        let Some(event) = self.real.get_mut(&on).unwrap().events.pop_front() else { return };
        let effects = self.state.learn(&runner(on), event);
        self.carry_out(on, effects);
    }

    fn listed(&mut self) {
        let Some((on, asked, listing)) = self.listings.pop_front() else { return };
        let effects = self.state.absorb(&runner(on), asked, listing, UNIX_EPOCH);
        self.carry_out(on, effects);
    }

    fn reconnect(&mut self, on: u32) {
        self.real.get_mut(&on).unwrap().events.clear();
        let (asked, listing) = (self.state.tick(), self.real[&on].list());
        let effects = self.state.absorb(&runner(on), asked, listing, UNIX_EPOCH);
        self.carry_out(on, effects);
        // What is withdrawn is ended, however often it takes.
        for n in self.recorded.get(&on).cloned().unwrap_or_default() {
            if self.state.is_withdrawn(&run(n)) {
                let real = self.real.get_mut(&on).unwrap();
                real.end(n);
                if !real.exits.contains(&n) {
                    let effects = self.state.give_up(&run(n));
                    self.carry_out(on, effects);
                }
            }
        }
    }

    fn acknowledge(&mut self, pick: u32) {
        let exits = self.state.list().exits;
        let Some(exit) = exits.get(pick as usize % exits.len().max(1)) else { return };
        let n = number(&exit.run);
        let on = u32::from_str_radix(self.state.run(&exit.run).unwrap().runner.as_str(), 16).unwrap();
        self.told.get_mut(&n).unwrap().acknowledged = true;
        let effects = self.state.acknowledge(&exit.run);
        self.carry_out(on, effects);
        // The word to the runner may be lost.
        if let Some(real) = self.real.get_mut(&on).filter(|_| !pick.is_multiple_of(3)) {
            real.exits.remove(&n);
        }
    }

    fn die(&mut self, on: u32, pick: u32) {
        let real = self.real.remove(&on).unwrap();
        self.listings.retain(|(of, ..)| *of != on);
        for answer in &mut self.answers {
            if answer.1 == on && pick.is_multiple_of(2) {
                answer.2 = Err(false);
            }
        }
        let exits = real.exits.iter().map(|n| exit(*n, 0)).collect();
        let effects = self.state.bury(&runner(on), exits, "died", UNIX_EPOCH);
        self.carry_out(on, effects);
        self.add();
    }

    fn add(&mut self) {
        let n = self.next;
        self.next += 1;
        self.state.add_runner(runner(n), facts());
        let effects = self.state.absorb(&runner(n), 0, Listing::default(), UNIX_EPOCH);
        assert_eq!(effects, Effects::default());
        self.real.insert(n, Real::default());
    }

    /// Another agent: what it has is what was recorded.
    fn restart(&mut self) {
        self.state = State::default();
        self.listings.clear();
        for (n, ..) in self.answers.drain(..) {
            // Nobody hears the answer.
            self.told.get_mut(&n).unwrap().failed = true;
        }
        for told in self.told.values_mut() {
            (told.started, told.exited) = (0, 0);
        }
        for (on, runs) in self.recorded.clone() {
            self.state.add_runner(runner(on), facts());
            let recall = runs.iter().map(|n| (run(*n), (sandbox(0), "c".to_owned(), UNIX_EPOCH)));
            self.state.recall(&runner(on), recall.collect());
        }
        let all: BTreeSet<u32> = self.recorded.keys().chain(self.real.keys()).copied().collect();
        for on in all {
            match self.real.get_mut(&on) {
                Some(real) => {
                    real.events.clear();
                    let listing = real.list();
                    if self.state.slot(&runner(on)).is_none() {
                        self.state.add_runner(runner(on), facts());
                    }
                    let asked = self.state.tick();
                    let effects = self.state.absorb(&runner(on), asked, listing, UNIX_EPOCH);
                    self.carry_out(on, effects);
                }
                None => {
                    let effects = self.state.bury(&runner(on), Vec::new(), "died", UNIX_EPOCH);
                    self.carry_out(on, effects);
                }
            }
        }
    }

    /// Everything that is under way arrives, and every guest ends.
    fn settle(&mut self) {
        while !self.answers.is_empty() {
            self.answer();
        }
        while !self.listings.is_empty() {
            self.listed();
        }
        for on in self.real.keys().copied().collect::<Vec<_>>() {
            for n in self.real[&on].live.clone() {
                self.real.get_mut(&on).unwrap().end(n);
            }
            while !self.real[&on].events.is_empty() {
                self.deliver(on);
            }
            self.reconnect(on);
            self.reconnect(on);
        }
    }

    fn check(&self) {
        for (n, told) in &self.told {
            assert!(told.exited <= 1 && told.started <= 1, "run {n} was reported twice: {told:?}");
        }
    }

    fn check_settled(&self) {
        self.check();
        let listing = self.state.list();
        assert!(listing.runs.is_empty(), "{listing:?}");
        let listed: BTreeSet<u32> = listing.exits.iter().map(|exit| number(&exit.run)).collect();
        for (n, told) in &self.told {
            if told.ok {
                assert!(told.acknowledged != listed.contains(n), "run {n} started: {told:?}, listed {listed:?}");
            }
            assert!(!(told.acknowledged && listed.contains(n)), "run {n} was acknowledged and is listed");
        }
        let recorded: BTreeSet<u32> = self.recorded.values().flatten().copied().collect();
        assert_eq!(recorded, listed, "what is on disk is what is listed");
        assert!(self.real.values().all(|real| real.exits.is_subset(&listed)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Every run whose start succeeded has one exit, whatever dies and in whatever order things are heard.
    #[test]
    fn every_started_run_ends_exactly_once(steps in proptest::collection::vec((0u8..14, any::<u32>()), 0..120)) {
        let mut world = World::new();
        for (op, pick) in steps {
            world.step(op, pick);
            world.check();
        }
        world.settle();
        world.check_settled();
    }
}
