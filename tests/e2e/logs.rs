//! `kubectl logs` with every option.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};
use wasmnode_tests::suite::{Namespace, Scene};

use crate::support::{PATIENCE, container, ended, once, pod, running, tool, waiting};

async fn log(namespace: &Namespace, arguments: &[&str]) -> Result<String> {
    namespace.kubectl().ok(&[&["logs"], arguments].concat()).await
}

pub(crate) async fn every_option_of_kubectl_logs(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    let steps = ["print one", "eprint two", "sleep 4s", "print three", "print four"];
    namespace.apply(&once("talks", &image, &steps)).await?;
    ended(&namespace, "talks").await?;

    ensure!(log(&namespace, &["talks"]).await? == "one\ntwo\nthree\nfour\n");
    ensure!(log(&namespace, &["talks", "--tail=2"]).await? == "three\nfour\n");
    ensure!(log(&namespace, &["talks", "--tail=0"]).await?.is_empty());
    ensure!(log(&namespace, &["talks", "--limit-bytes=6"]).await? == "one\ntw");
    ensure!(log(&namespace, &["talks", "-f"]).await? == "one\ntwo\nthree\nfour\n", "follow of an ended container");

    let stamped = log(&namespace, &["talks", "--timestamps"]).await?;
    let third = stamped.lines().nth(2).and_then(|line| line.split_once(' ')).context("no third line")?;
    ensure!(third.1 == "three" && third.0.len() == "2026-01-02T15:04:05.123456789Z".len(), "{stamped}");
    ensure!(log(&namespace, &["talks", &format!("--since-time={}", third.0)]).await? == "three\nfour\n", "{stamped}");
    ensure!(log(&namespace, &["talks", "--since=1h"]).await? == "one\ntwo\nthree\nfour\n");

    let previous = namespace.kubectl().run(&["logs", "talks", "--previous"]).await?;
    ensure!(
        previous.stderr.contains("previous terminated container \"main\" in pod \"talks\" not found"),
        "{previous:?}"
    );
    Ok(())
}

pub(crate) async fn following_ends_with_the_container(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    namespace.apply(&once("counts", &image, &["lines 6 500ms"])).await?;
    running(&namespace, "counts").await?;
    let mut child = namespace.kubectl().command(&["logs", "-f", "counts"]).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
    let mut seen = Vec::new();
    let read = async {
        while let Some(line) = lines.next_line().await? {
            seen.push(line);
        }
        Ok::<(), std::io::Error>(())
    };
    timeout(Duration::from_secs(30), read).await.context("the stream goes on")??;
    ensure!(seen.len() == 6, "{seen:?}");
    ensure!(child.wait().await?.success());
    Ok(())
}

pub(crate) async fn following_goes_on_over_rotation(scene: Scene) -> Result<()> {
    let agent = scene.own_agent(json!({ "containerLogMaxSize": "64Ki", "containerLogMaxFiles": 3 })).await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    let containers = json!([container("main", &image, &["lines 20000 100us"])]);
    namespace.apply(&pod("chatty", Some(&agent), containers, json!({ "restartPolicy": "Never" }))).await?;
    running(&namespace, "chatty").await?;
    let text = timeout(PATIENCE, namespace.kubectl().ok(&["logs", "-f", "chatty"])).await??;
    // The first lines may have been rotated away before the reader came; after its first, none is missing.
    let numbers: Vec<u64> = text.lines().filter_map(number).collect();
    ensure!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "lines are missing or doubled");
    ensure!(numbers.len() > 1000 && numbers.last().is_some(), "{} lines", numbers.len());
    let directory = std::fs::read_dir(agent.pod_logs())?.next().context("no log directory")??.path().join("main");
    let files = std::fs::read_dir(&directory)?.count();
    ensure!(files <= 3, "{files} files");
    Ok(())
}

/// The number in a line of the guest.
fn number(line: &str) -> Option<u64> {
    line.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?.parse().ok()
}

pub(crate) async fn asking_too_early_says_so(scene: Scene) -> Result<()> {
    scene.agent().await?;
    let namespace = scene.namespace().await?;
    let image = scene.registry().await?.image("nobody/has-this", "v1");
    namespace.apply(&once("early", &image, &[])).await?;
    waiting(&namespace, "early", &["ImagePullBackOff"]).await?;
    let output = namespace.kubectl().run(&["logs", "early"]).await?;
    let text = "container \"main\" in pod \"early\" is waiting to start: trying and failing to pull image";
    ensure!(output.stderr.contains(text), "{}", output.stderr);
    Ok(())
}

pub(crate) async fn collectors_find_their_links(scene: Scene) -> Result<()> {
    let agent = scene.agent().await?;
    let (namespace, image) = (scene.namespace().await?, tool(&scene).await?);
    let containers = json!([container("main", &image, &["print linked", "sleep 1h"])]);
    namespace.apply(&pod("linked", Some(agent), containers, json!({}))).await?;
    let pod = running(&namespace, "linked").await?;
    let id = crate::support::first(&pod).and_then(|status| status.container_id.clone()).context("no containerID")?;
    let id = id.strip_prefix("wasmtime://").context("another runtime")?.to_owned();
    let links = agent.pod_logs().with_file_name("containers");
    let link = links.join(format!("linked_{}_main-{id}.log", namespace.name()));
    let line = wasmnode_tests::eventually::eventually(PATIENCE, "a line behind the link", || async {
        let text = std::fs::read_to_string(&link).with_context(|| link.display().to_string())?;
        text.lines().next().map(str::to_owned).context("empty")
    })
    .await?;
    ensure!(line.ends_with(" stdout F linked"), "{line}");
    Ok(())
}
