//! From the command line to what is run.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::args::{RunArgs, Variable};
use super::identity;
use super::manifest::{self, Manifest, NAMESPACE, Workload};
use super::output::Style;
use crate::exit::Failure;

/// Everything that the command line says.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) manifest: Manifest,
    pub(super) style: Style,
    /// What relative paths of images are relative to.
    pub(super) base: PathBuf,
}

// === impl Plan ===

impl Plan {
    pub(super) fn new(args: &RunArgs) -> Result<Self, Failure> {
        if !args.is_file() {
            let workloads = vec![Workload::Pods(vec![pod(args)?])];
            let manifest = Manifest { workloads, ..Manifest::default() };
            return Ok(Self { manifest, style: Style::Raw, base: PathBuf::from(".") });
        }
        if let Some(flag) = args.flag_of_images() {
            return Err(Failure::Usage(format!(
                "{flag} cannot be given with a file of objects: write it into the file"
            )));
        }
        let path = Path::new(&args.what);
        let manifest = manifest::load(path)?;
        let style = Style::Named(width(&manifest.workloads));
        // For `-` and for a bare file name it is this directory.
        let base = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
        Ok(Self { manifest, style, base })
    }

    /// Containers at the same time, at most.
    pub(super) fn containers(&self) -> usize {
        let of = |pod: &Pod| pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
        let counts = self.manifest.workloads.iter().map(|workload| match workload {
            Workload::Pods(pods) => pods.iter().map(of).sum(),
            Workload::Job(plan) => plan.parallelism.min(plan.completions) * of(&plan.template),
        });
        counts.sum()
    }
}

/// One pod with one container, that is not started again.
fn pod(args: &RunArgs) -> Result<Pod, Failure> {
    let name = args.name.clone().unwrap_or_else(|| identity::of_image(&args.what));
    if !manifest::is_name(&name) {
        let problem = format!("--name {name:?} is not a name of lower-case letters, digits, '-' and '.'");
        return Err(Failure::Usage(problem));
    }
    let variable = |Variable { name, value }: &Variable| EnvVar {
        name: name.clone(),
        value: Some(literal(value)),
        value_from: None,
    };
    if args.interactive && args.tty && !std::io::stdin().is_terminal() {
        let problem = "--interactive with --tty needs a terminal as standard input: leave out --tty";
        return Err(Failure::Usage(problem.to_owned()));
    }
    let container = Container {
        name: "main".to_owned(),
        image: Some(args.what.clone()),
        image_pull_policy: Some(args.pull.policy().to_owned()),
        args: Some(args.args.iter().map(|arg| literal(arg)).collect()),
        env: Some(args.env.iter().map(variable).collect()),
        stdin: Some(args.interactive),
        stdin_once: Some(args.interactive),
        tty: Some(args.tty),
        ..Container::default()
    };
    let spec = PodSpec { containers: vec![container], restart_policy: Some("Never".to_owned()), ..PodSpec::default() };
    let metadata = ObjectMeta { name: Some(name), namespace: Some(NAMESPACE.to_owned()), ..ObjectMeta::default() };
    Ok(Pod { metadata, spec: Some(spec), status: None })
}

/// Not to be expanded: references to variables are the shell's business here.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// The longest name that stands before output.
fn width(workloads: &[Workload]) -> usize {
    let of = |pod: &Pod| {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        containers.map(|container| identity::label(pod, &container.name).len()).max().unwrap_or_default()
    };
    let widths = workloads.iter().map(|workload| match workload {
        Workload::Pods(pods) => pods.iter().map(of).max().unwrap_or_default(),
        Workload::Job(plan) => {
            let digits = plan.completions.to_string().len();
            of(&manifest::named(&plan.template, &format!("{}-{}", plan.name, "0".repeat(digits))))
        }
    });
    widths.max().unwrap_or_default()
}
