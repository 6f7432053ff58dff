//! What a program is called with, and where it starts.

use wasmnode_core::desired::Container;

use crate::images::PulledImage;

/// The container's command and arguments, with the image's where the pod names none. `expand` replaces `$(VAR)` in
/// what the pod says, all at once, since the result is bounded as a whole.
///
/// Without a command anywhere, argv\[0\] is the image's title: a plain wasm artifact has no entry point, but
/// programs expect to be called something.
pub(crate) fn argv<E>(
    container: &Container,
    image: &PulledImage,
    expand: impl Fn(&[String]) -> Result<Vec<String>, E>,
) -> Result<Vec<String>, E> {
    let own: Vec<String> = container.command.iter().chain(&container.args).cloned().collect();
    let own = expand(&own)?;
    if !container.command.is_empty() {
        return Ok(own);
    }
    let args = if own.is_empty() { image.cmd.clone() } else { own };
    if !image.entrypoint.is_empty() {
        return Ok(image.entrypoint.iter().cloned().chain(args).collect());
    }
    // An image without an entry point but with a command is called as its command says.
    if !image.cmd.is_empty() {
        return Ok(args);
    }
    Ok(std::iter::once(image.title.clone()).chain(args).collect())
}

/// The pod's variables after those of the image that it does not set itself.
pub(crate) fn environment(image: &PulledImage, pod: Vec<(String, String)>) -> Vec<(String, String)> {
    let own = image.env.iter().filter_map(|pair| pair.split_once('='));
    let mut all: Vec<(String, String)> = own
        .filter(|(name, _)| !name.is_empty() && pod.iter().all(|(other, _)| other != name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    all.extend(pod);
    all
}

/// Where the program starts, if anyone says.
pub(crate) fn working_dir(container: &Container, image: &PulledImage) -> Option<String> {
    container.working_dir.clone().or_else(|| image.working_dir.clone()).filter(|path| !path.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fixtures::{container, image};

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn who_says_what_is_run() {
        // command, args, entrypoint, cmd → argv
        type Words = &'static [&'static str];
        let cases: [(Words, Words, Words, Words, Words); 9] = [
            (&[], &[], &[], &[], &["tool.wasm"]),
            (&[], &["a"], &[], &[], &["tool.wasm", "a"]),
            (&["c"], &[], &[], &[], &["c"]),
            (&["c", "d"], &["a"], &[], &[], &["c", "d", "a"]),
            (&["c"], &[], &["e"], &["m"], &["c"]),
            (&[], &["a"], &["e"], &["m"], &["e", "a"]),
            (&[], &[], &["e"], &["m"], &["e", "m"]),
            (&[], &[], &[], &["m", "n"], &["m", "n"]),
            (&[], &["a"], &[], &["m"], &["a"]),
        ];
        for (command, args, entrypoint, cmd, expected) in cases {
            let mut container = container("c");
            (container.command, container.args) = (texts(command), texts(args));
            let mut image = image("tool.wasm");
            (image.entrypoint, image.cmd) = (texts(entrypoint), texts(cmd));
            let expand = |texts: &[String]| Ok::<_, ()>(texts.to_vec());
            assert_eq!(
                argv(&container, &image, expand).unwrap(),
                expected,
                "{command:?} {args:?} {entrypoint:?} {cmd:?}"
            );
        }
    }

    #[test]
    fn references_are_expanded_in_what_the_pod_says_only() {
        let mut container = container("c");
        (container.command, container.args) = (texts(&["$(A)"]), texts(&["x$(A)"]));
        let mut image = image("tool.wasm");
        let expand = |texts: &[String]| Ok::<_, ()>(texts.iter().map(|text| text.replace("$(A)", "1")).collect());
        assert_eq!(argv(&container, &image, expand).unwrap(), ["1", "x1"]);
        (container.command, image.entrypoint) = (Vec::new(), texts(&["$(A)"]));
        assert_eq!(argv(&container, &image, expand).unwrap(), ["$(A)", "x1"]);
    }

    #[test]
    fn the_pods_variables_win() {
        let mut image = image("tool.wasm");
        image.env = texts(&["A=image", "B=x=y", "rubbish", "=z"]);
        let pod = vec![("A".to_owned(), "pod".to_owned())];
        let expected = [("B", "x=y"), ("A", "pod")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(environment(&image, pod), expected);
    }

    #[test]
    fn the_pods_directory_wins() {
        let (mut container, mut image) = (container("c"), image("tool.wasm"));
        assert_eq!(working_dir(&container, &image), None);
        image.working_dir = Some("/image".to_owned());
        assert_eq!(working_dir(&container, &image).unwrap(), "/image");
        container.working_dir = Some("/pod".to_owned());
        assert_eq!(working_dir(&container, &image).unwrap(), "/pod");
    }
}
