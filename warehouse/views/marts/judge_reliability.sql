-- One row per dataset, language (and `all` of them together), question that several judges answer, and scale:
-- Krippendorff's alpha for interval data over all of them jointly (Krippendorff 2011, Computing
-- Krippendorff's Alpha-Reliability). A unit is an answer with two scores or more, and an answer beside one
-- opponent where answers are compared; judges may each have left out others. The question is the aspect, or,
-- for judges of one aspect, as in `judge_agreement`. Ensembles are left out, since they are made of the
-- others. Null where no score differs; the standard error is the jackknife's over items. Scores are taken as
-- they are: where judges of one question are known to use several scales, each `scale` has a row of its own
-- and judges of an unknown one are left out; else it is null.
with

scales as (
    select
        experiment,
        dataset,
        question,
        count(distinct known_scale) > 1 as are_several
    from judge_scales
    group by all
),

clusters as (
    select
        judge_questions.experiment,
        judge_questions.dataset,
        places.language,
        judge_questions.question,
        judge_questions.scale,
        judge_questions.item_cluster,
        sum(judge_questions.n)::bigint as n,
        sum(judge_questions.n_unscored)::bigint as n_unscored,
        sum(judge_questions.n_scores) as n_scores,
        sum(judge_questions.total) as total,
        sum(judge_questions.squares) as squares,
        sum(judge_questions.within) as within,
        list(judge_questions.judges) as judges
    from judge_questions
    left join scales using (experiment, dataset, question),
    lateral (select unnest([judge_questions.language, 'all']) as language) as places
    where (judge_questions.scale <> '') = coalesce(scales.are_several, false)
    group by all
),

totals as (
    select
        experiment,
        dataset,
        language,
        question,
        scale,
        sum(n)::bigint as n,
        count(*) filter (where n > 0) as n_items,
        sum(n_unscored)::bigint as n_unscored,
        sum(n_scores) as n_scores,
        sum(total) as total,
        sum(squares) as squares,
        sum(within) as within,
        list_sort(list_distinct(flatten(flatten(list(judges))))) as judges
    from clusters
    group by all
),

-- All items (where `without` is null), and all but one.
folds as (
    select
        totals.* replace (
            totals.n_scores - coalesce(clusters.n_scores, 0) as n_scores,
            totals.total - coalesce(clusters.total, 0) as total,
            totals.squares - coalesce(clusters.squares, 0) as squares,
            totals.within - coalesce(clusters.within, 0) as within
        ),
        clusters.item_cluster as without
    from totals
    join (
        select * from clusters where n > 0
        union all by name
        select experiment, dataset, language, question, scale from totals
    ) as clusters using (experiment, dataset, language, question, scale)
),

alphas as (
    select
        *,
        squares - total ^ 2 / n_scores as spread,
        case when spread > 1e-12 * n_scores then 1 - (n_scores - 1) / n_scores * within / spread end as alpha
    from folds
    where n_scores > 0
),

jackknife as (
    select
        experiment,
        dataset,
        language,
        question,
        scale,
        jackknife_standard_error(alpha) as standard_error
    from alphas
    where without is not null
    group by all
)

select
    totals.experiment,
    totals.dataset,
    totals.language,
    totals.question,
    nullif(totals.scale, '') as scale,
    totals.judges,
    totals.n,
    totals.n_items,
    totals.n_unscored,
    alphas.alpha as krippendorff_alpha,
    jackknife.standard_error
from totals
left join alphas
    on
        (totals.experiment, totals.dataset, totals.language, totals.question, totals.scale)
        = (alphas.experiment, alphas.dataset, alphas.language, alphas.question, alphas.scale)
        and alphas.without is null
left join jackknife
    on
        (totals.experiment, totals.dataset, totals.language, totals.question, totals.scale)
        = (jackknife.experiment, jackknife.dataset, jackknife.language, jackknife.question, jackknife.scale)
order by all
