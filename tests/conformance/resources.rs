//! Guests that want more than they may have: time, memory, files.

use std::time::{Duration, Instant};

use wasmnode_provider_api::{ExitReason, Mount, RunSpec};

use crate::guests;
use crate::real::{ended, rig};
use crate::rig::{PATIENCE, Rig};

impl Rig {
    /// Waits until the only run has used this much CPU.
    async fn computed(&self, time: Duration) {
        let computing = async {
            while self.cpu_time().await < time {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, computing).await.expect("the guest should compute");
    }

    async fn cpu_time(&self) -> Duration {
        let usage = self.provider.usage(&self.sandbox).await.unwrap();
        Duration::from_nanos(usage.containers.iter().map(|container| container.cpu_nanoseconds).sum())
    }
}

pub(crate) async fn ends_at_once(rig: &mut Rig, spec: RunSpec) {
    let run = spec.id.clone();
    rig.provider.start(spec).await.unwrap();
    rig.computed(Duration::from_millis(5)).await;
    let before = Instant::now();
    rig.provider.kill(&run).await.unwrap();
    let exit = rig.exit_of(&run).await;
    assert_eq!(ended(&exit), (137, ExitReason::Killed));
    let took = before.elapsed();
    assert!(took < Duration::from_secs(5), "a spinning guest took {took:?} to die");
}

#[tokio::test]
async fn kills_guests_that_spin() {
    let mut rig = rig().await;
    for text in [guests::spin(), guests::spin_in_start_function()] {
        let spec = rig.program(&text).await;
        ends_at_once(&mut rig, spec).await;
    }
}

#[tokio::test]
async fn spinning_guests_hold_up_neither_the_provider_nor_each_other() {
    let mut rig = rig().await;
    let mut runs = Vec::new();
    for _ in 0..6 {
        let spec = rig.program(&guests::spin()).await;
        runs.push(spec.id.clone());
        rig.provider.start(spec).await.unwrap();
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let before = Instant::now();
        let spec = rig.program(&guests::exit(0)).await;
        assert_eq!(rig.run(spec).await.code, 0);
        rig.provider.ping().await.unwrap();
        slowest = slowest.max(before.elapsed());
    }
    assert!(slowest < Duration::from_secs(5), "beside spinning guests a start and end took {slowest:?}");
    for run in &runs {
        rig.provider.stop(run).await.unwrap();
    }
    for run in &runs {
        assert_eq!(ended(&rig.exit_of(run).await), (143, ExitReason::Stopped));
    }
}

#[tokio::test]
async fn a_cpu_limit_holds() {
    let mut rig = rig().await;
    let mut spec = rig.program(&guests::spin()).await;
    spec.limits.cpu_millis = Some(100);
    let run = spec.id.clone();
    let before = Instant::now();
    rig.provider.start(spec).await.unwrap();
    let used = Duration::from_millis(50);
    rig.computed(used).await;
    let took = before.elapsed();
    assert!(took > Duration::from_millis(300), "a tenth of a core gave {used:?} in {took:?}");
    rig.provider.kill(&run).await.unwrap();
    assert_eq!(rig.exit_of(&run).await.code, 137);
}

#[tokio::test]
async fn a_memory_limit_counts_all_memories_and_the_pod() {
    let mut rig = rig().await;
    // Two memories of 5 MiB each reach what neither does alone.
    let mut spec = rig.program(&guests::grow()).await;
    spec.limits.memory_bytes = Some(9 << 20);
    let exit = rig.run(spec.clone()).await;
    assert_eq!(ended(&exit), (137, ExitReason::OutOfMemory));
    assert!(exit.message.starts_with("memory limit of 9437184 bytes reached when growing a memory from"), "{exit:?}");
    assert!(rig.log(&spec).contains("memory limit of 9437184 bytes"));

    let update =
        wasmnode_provider_api::SandboxUpdate { id: rig.sandbox.clone(), memory_limit: Some(6 << 20), cpu_millis: None };
    rig.provider.update_sandbox(update).await.unwrap();
    let spec = rig.program(&guests::grow()).await;
    let exit = rig.run(spec).await;
    assert!(exit.message.starts_with("memory limit of 6291456 bytes"), "{exit:?}");
    // What a run used is free again.
    let spec = rig.program(&guests::exit(4)).await;
    assert_eq!(rig.run(spec).await.code, 4);
}

#[tokio::test]
async fn a_module_larger_than_its_limit_ends_before_its_first_instruction() {
    let mut rig = rig().await;
    let mut spec = rig.program(&guests::exit(0)).await;
    spec.limits.memory_bytes = Some(1 << 16);
    assert_eq!(ended(&rig.run(spec).await), (137, ExitReason::OutOfMemory));
}

#[tokio::test]
async fn a_guest_that_opens_files_without_end_ends_before_the_node_does() {
    let mut rig = rig().await;
    let root = rig.dir.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let mut spec = rig.program(&guests::open_files()).await;
    spec.mounts = vec![Mount { host: root, guest: "/".to_owned(), read_only: false }];
    let exit = rig.run(spec).await;
    assert_eq!(ended(&exit), (134, ExitReason::Trap));
    assert!(exit.message.starts_with("resource table has no free keys"), "{}", exit.message);
    let spec = rig.program(&guests::exit(4)).await;
    assert_eq!(rig.run(spec).await.code, 4);
}
