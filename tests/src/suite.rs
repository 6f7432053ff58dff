//! The runner of tests that need the real control plane. Reports as `cargo test` does and takes the same
//! arguments; ordinary libtest knows neither a set-up before the first test nor an end after the last.
//!
//! The program builds what it needs, enters its namespaces, and runs several cases at a time against one
//! cluster. A case that disturbs what others use runs [alone](Case::alone).

mod scene;
mod world;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow};
use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use tokio::{runtime::Runtime, time::timeout};

pub use scene::{Namespace, Scene};
pub use world::World;

use crate::{netns, prepare};

/// Cases mostly wait, so there may be more of them than cores; more than this only makes them slow.
const AT_ONCE: usize = 6;
/// For a case that says nothing else.
const PATIENCE: Duration = Duration::from_secs(240);

/// One test.
pub struct Case {
    name: &'static str,
    alone: bool,
    patience: Duration,
    body: Box<dyn FnOnce(Scene) -> BoxFuture<'static, Result<()>> + Send>,
}

impl Case {
    /// A test that runs beside others.
    pub fn new<F>(name: &'static str, body: impl FnOnce(Scene) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Self { name, alone: false, patience: PATIENCE, body: Box::new(|scene| Box::pin(body(scene))) }
    }

    /// Runs while no other case does.
    pub fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    /// Fails when it takes longer.
    pub fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

/// A list of [`Case`]s, named after their functions.
#[macro_export]
macro_rules! cases {
    ($($function:path),* $(,)?) => { vec![$($crate::suite::Case::new(stringify!($function), $function)),*] };
}

/// Runs the cases that the program's arguments choose.
pub fn main(cases: Vec<Case>) -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let outcome = match (arguments.list, netns::inside()) {
        (true, _) => Ok(list(&arguments, cases)),
        (false, false) => prepare::everything().and_then(|()| netns::enter()),
        (false, true) => run(&arguments, cases).map(|conclusion| conclusion.exit_code()),
    };
    outcome.unwrap_or_else(|error| {
        tracing::error!(error = format!("{error:#}"), "Cannot run the tests");
        ExitCode::FAILURE
    })
}

fn list(arguments: &Arguments, cases: Vec<Case>) -> ExitCode {
    let trials = cases.into_iter().map(|case| Trial::test(case.name, || Ok(()))).collect();
    libtest_mimic::run(arguments, trials).exit_code()
}

fn run(arguments: &Arguments, cases: Vec<Case>) -> Result<Conclusion> {
    let scratch = netns::set_up()?;
    let runtime = Arc::new(Runtime::new().context("no runtime")?);
    let world = Arc::new(World::new(scratch));
    let trials = cases.into_iter().map(|case| trial(case, &runtime, &world)).collect();
    Ok(libtest_mimic::run(arguments, trials))
}

fn trial(case: Case, runtime: &Arc<Runtime>, world: &Arc<World>) -> Trial {
    let (runtime, world) = (Arc::clone(runtime), Arc::clone(world));
    Trial::test(case.name, move || {
        let outcome = runtime.block_on(attempt(case, world));
        outcome.map_err(|error| Failed::from(format!("{error:#}")))
    })
}

async fn attempt(case: Case, world: Arc<World>) -> Result<()> {
    let _turn = world.turn(case.alone).await;
    let scene = Scene::new(&world, case.name);
    let outcome = run_body((case.body)(scene.clone()), case.patience).await;
    let outcome = match outcome {
        Ok(()) => Ok(()),
        Err(error) => Err(anyhow!("{error:#}\n{}", scene.diagnosis().await)),
    };
    scene.leave().await;
    outcome
}

/// A task of its own, so that a panic ends as an error and what is diagnosed then can still be asked.
async fn run_body(body: BoxFuture<'static, Result<()>>, patience: Duration) -> Result<()> {
    let mut task = tokio::spawn(body);
    match timeout(patience, &mut task).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(anyhow!("panicked: {}", panic_message(error))),
        Err(_) => {
            task.abort();
            Err(anyhow!("not done within {patience:?}"))
        }
    }
}

fn panic_message(error: tokio::task::JoinError) -> String {
    let payload = error.try_into_panic().unwrap_or_else(|_| Box::new("cancelled"));
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
