-- One row per cell and measure: what `score_by_cell` shows and explains.
with

measured as (
    select
        experiment,
        cell_id,
        dataset,
        language,
        model,
        num_parameters,
        method,
        method_kind,
        train_languages,
        seed,
        turn,
        judge,
        measure,
        avg(score) as mean_score,
        stddev_samp(score) / sqrt(count(score)) as standard_error,
        sqrt(avg(score_variance) filter (where score is not null)) as judge_standard_deviation,
        min(scale_low) as scale_low,
        max(scale_high) as scale_high,
        count(score) as n,
        count(*) - count(score) as n_unscored
    from verdicts
    group by all
),

answered as (
    select
        cell_id,
        avg(n_characters) as mean_characters,
        avg((finish_reason = 'length')::integer)
            filter (where text is not null and finish_reason <> 'recorded') as share_cut,
        count(*) - count(text) as n_missing
    from completions
    group by all
)

select
    measured.experiment,
    measured.cell_id,
    measured.dataset,
    measured.language,
    measured.model,
    measured.num_parameters,
    measured.method,
    measured.method_kind,
    measured.train_languages,
    measured.seed,
    measured.turn,
    measured.judge,
    measured.measure,
    measured.mean_score,
    measured.standard_error,
    interval_low(mean_score, standard_error, n, n - 1, scale_low, scale_high) as ci_low,
    interval_high(mean_score, standard_error, n, n - 1, scale_low, scale_high) as ci_high,
    measured.judge_standard_deviation,
    measured.n,
    measured.n_unscored,
    case when measured.train_languages <> '' then scope_of_seeds(1) end as scope,
    answered.mean_characters,
    answered.share_cut,
    answered.n_missing,
    cast(null as varchar) as stopped_by
from measured
left join answered on answered.cell_id = measured.cell_id
