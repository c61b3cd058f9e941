pub(crate) fn run(_: &super::super::options::Load, _: &super::super::options::KillArgs) -> anyhow::Result<std::process::ExitCode> { unimplemented!() }
