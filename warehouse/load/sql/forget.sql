-- Delete the rows of the steps `$step_ids`. A prompt goes with the last completion that
-- was asked with it.
create or replace temp table forgotten as
select unnest($step_ids) as step_id;

delete from prompts
where
    prompt_id in (select prompt_id from step_completions where step_id in (from forgotten))
    and prompt_id not in (select prompt_id from step_completions where step_id not in (from forgotten));

delete from examples where step_id in (from forgotten);
delete from step_completions where step_id in (from forgotten);
delete from step_verdicts where step_id in (from forgotten);
delete from step_usage where step_id in (from forgotten);
delete from train_metrics where step_id in (from forgotten);
delete from trials where step_id in (from forgotten);
delete from looks where step_id in (from forgotten);
delete from ref_logps where step_id in (from forgotten);
delete from steps where step_id in (from forgotten);

drop table forgotten;
