-- One step: take out what was loaded of it before. A prompt goes with the last completion that was asked with it.
delete from prompts
where
    prompt_id in (select prompt_id from step_completions where step_id = $step_id)
    and prompt_id not in (select prompt_id from step_completions where step_id <> $step_id);

delete from examples where step_id = $step_id;
delete from step_completions where step_id = $step_id;
delete from step_verdicts where step_id = $step_id;
delete from train_metrics where step_id = $step_id;
delete from ref_logps where step_id = $step_id;
delete from steps where step_id = $step_id;

update experiments
set is_computed = false
where experiment in (select experiment from experiment_steps where step_id = $step_id);
