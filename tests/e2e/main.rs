//! The real control plane, the real registry, the agent as an operator runs it.

mod access;
mod bad_input;
mod examples;
mod harness;
mod logs;
mod registry;
mod run;
mod runners;
mod scenarios;
mod support;
mod survival;
mod workloads;

use std::{process::ExitCode, time::Duration};

use wasmnode_tests::{cases, suite, suite::Case};

fn main() -> ExitCode {
    let mut cases = cases![
        harness::control_plane_answers,
        harness::registry_keeps_what_is_pushed,
        workloads::a_foreign_daemonset_pod_stays_one_pending_pod,
        scenarios::the_node_says_what_it_is,
        scenarios::config_maps_and_secrets_are_files,
        scenarios::chosen_items_appear_under_their_paths,
        scenarios::arguments_and_environment_arrive,
        scenarios::each_container_has_its_own_log,
        scenarios::a_failing_step_fails_the_pod,
        scenarios::exit_codes_are_what_the_guest_says,
        scenarios::the_service_account_token_is_valid,
        workloads::a_deployment_becomes_available_and_rolls,
        workloads::a_job_completes_once,
        workloads::a_crash_loop_shows_and_recovers,
        workloads::restart_policies_hold,
        workloads::deleting_a_sleeping_pod_takes_no_grace,
        workloads::pods_whose_names_run_together_do_not_collide,
        workloads::a_pod_that_does_not_fit_is_refused,
        bad_input::images_that_cannot_run_say_why,
        bad_input::tampered_content_never_runs,
        bad_input::an_image_that_appears_later_is_pulled,
        bad_input::a_module_over_the_limit_is_refused,
        bad_input::a_killed_compile_job_delays_the_pod_only,
        bad_input::missing_objects_are_waited_for,
        bad_input::unsupported_fields_are_named,
        logs::every_option_of_kubectl_logs,
        logs::following_ends_with_the_container,
        logs::following_goes_on_over_rotation,
        logs::asking_too_early_says_so,
        logs::collectors_find_their_links,
        access::nobody_is_served_without_a_name_and_a_right,
        access::the_agent_reads_only_secrets_that_its_pods_name,
        access::bad_settings_are_one_line_and_an_exit_code,
        access::an_agent_without_rights_says_which_and_goes_on,
        access::a_second_agent_on_one_root_directory_says_so,
        examples::every_manifest_runs_without_a_cluster,
        examples::every_manifest_is_a_clusters_and_the_go_job_runs,
        registry::two_images_of_a_private_registry_run_in_one_pod,
        registry::a_private_image_on_the_node_stays_private,
        registry::a_registry_with_its_own_authority_is_trusted_by_hosts_toml,
        registry::a_mirror_stands_in_and_cannot_lie,
        run::what_is_pushed_runs_without_a_cluster,
        run::a_private_registry_wants_its_credentials,
        runners::pods_deleted_while_the_agent_was_away_end,
        runners::a_killed_runner_restarts_only_its_pods,
        runners::a_hung_runner_is_found,
        runners::groups_keep_pods_apart,
        runners::an_upgrade_and_the_way_back_keep_pods_running,
        runners::a_drain_ends_pods_in_order,
        runners::a_stopped_agent_leaves_pods_that_a_drain_ends,
        runners::nothing_is_left_after_uninstall,
        survival::a_restarted_agent_knows_its_pods,
        survival::a_deleted_node_is_registered_again,
        survival::a_terminated_agent_leaves_only_its_pods,
    ];
    let many = runners::pods_outlive_a_killed_agent;
    cases.push(Case::new("runners::pods_outlive_a_killed_agent", many).within(Duration::from_secs(600)));
    let away = survival::a_minute_without_the_api_server_loses_nothing;
    cases.push(
        Case::new("survival::a_minute_without_the_api_server_loses_nothing", away)
            .alone()
            .within(Duration::from_secs(300)),
    );
    suite::main(cases)
}
