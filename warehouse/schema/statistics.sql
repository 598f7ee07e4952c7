-- Statistics, computed from the other tables whenever something of a study was loaded
-- (`warehouse/statistics`).

-- One row per contrast, dataset, language, model, languages tuned on (either side), measure and item: seeds
-- averaged. A contrast between models has the rows of its first side's.
create table paired_scores (
    experiment varchar not null,
    contrast varchar not null,
    of varchar not null,
    against varchar not null,
    -- Of a contrast between models, which are its sides: the method of both; null between methods.
    method varchar,
    dataset varchar not null,
    language varchar not null,
    model varchar not null,
    num_parameters bigint,
    of_train_languages varchar not null,
    against_train_languages varchar not null,
    judge varchar not null,
    measure varchar not null,
    item varchar not null,
    -- Translations of one item share it.
    item_cluster varchar not null,
    -- Lowest and highest score there is; null where the judge has no such scale.
    scale_low double,
    scale_high double,
    -- Null where a side has no score.
    score_of double,
    score_against double,
    difference double,
    characters_of double,
    characters_against double,
    total_of double not null,
    total_against double not null,
    n_scored_of bigint not null,
    n_scored_against bigint not null,
    n_unscored_of bigint not null,
    n_unscored_against bigint not null,
    -- Of people: the way in which both sides' answers were drawn for them, as in `verdicts_by_item`.
    drawn varchar
);

-- One row per contrast, dataset, language, model, languages tuned on (either side) and measure that has a
-- pair of scores.
create table contrast_tests (
    experiment varchar not null,
    contrast varchar not null,
    dataset varchar not null,
    language varchar not null,
    model varchar not null,
    of_train_languages varchar not null,
    against_train_languages varchar not null,
    measure varchar not null,
    standard_error double,
    -- Of Satterthwaite, where trained models' seeds are a source of variance; else null.
    df double,
    -- Of the test that the p-value is of, at 95%.
    ci_low double,
    ci_high double,
    -- By sign flips of items and, where models were trained with several seeds, by the variance over seeds
    -- too; null below two items. Where asking stopped by what was found, 1 / e-value.
    p_value double,
    -- Against no difference, valid at any number of items; null where all items were asked.
    e_value double,
    -- `confirmatory`: what the study declared. `exploratory`: everything else.
    family varchar,
    correction varchar,
    -- Corrected for all `n_tests` tests of the family.
    p_corrected double,
    n_tests bigint,
    -- Of a declared test at 5% / `n_tests`: all of them hold at once with at least 95%.
    ci_low_corrected double,
    ci_high_corrected double,
    -- The smallest corrected p-value that so many items could have given.
    smallest_p_corrected double,
    -- Of the estimate: what training seeds alone give to it.
    variance_of_seeds double,
    -- Of trained sides: training seeds that count, and those that were asked for and are missing.
    n_seeds bigint,
    n_seeds_missing bigint,
    -- Mean over standard deviation of the paired differences.
    standardised_effect double,
    -- Where the estimate lies whatever the unscored verdicts would have been; null where the judge has no
    -- scale.
    bound_low double,
    bound_high double,
    -- The contrast between answers of equal length, or why there is none.
    length_adjusted_estimate double,
    length_adjusted_standard_error double,
    length_adjusted_ci_low double,
    length_adjusted_ci_high double,
    unadjusted_reason varchar
);

-- One row per contrast, dataset, language, model, languages tuned on (either side), measure that is a model's
-- opinion and measure of people who answer the same question.
create table contrasts_beside_people (
    experiment varchar not null,
    contrast varchar not null,
    dataset varchar not null,
    language varchar not null,
    model varchar not null,
    of_train_languages varchar not null,
    against_train_languages varchar not null,
    measure varchar not null,
    people varchar not null,
    people_measure varchar not null,
    -- Items that the judge scored on both sides.
    n bigint not null,
    -- Those that people labelled on both sides too, other than where judges disagree; means are of these.
    n_labelled bigint not null,
    mean_of_people double,
    mean_of_judge double,
    -- People's mean difference minus the judge's, and its 95% interval.
    bias double,
    bias_ci_low double,
    bias_ci_high double,
    -- The difference as people would give it, from random labels alone; null with the reason.
    estimate double,
    ci_low double,
    ci_high double,
    -- How far the judge's differences count, from 0 to 1.
    weight double,
    uncorrected_reason varchar
);

-- One row per contrast, dataset, model, measure and two languages, for each pair of methods tuned on
-- comparable languages.
create table language_gaps (
    experiment varchar not null,
    contrast varchar not null,
    of varchar not null,
    against varchar not null,
    -- As in `paired_scores`.
    method varchar,
    dataset varchar not null,
    model varchar not null,
    num_parameters bigint,
    judge varchar not null,
    measure varchar not null,
    language varchar not null,
    other_language varchar not null,
    of_train_languages varchar not null,
    against_train_languages varchar not null,
    other_of_train_languages varchar not null,
    other_against_train_languages varchar not null,
    -- The contrast in `language` minus the contrast in `other_language`.
    estimate double not null,
    standard_error double,
    -- As in `contrast_tests`.
    df double,
    variance_of_seeds double,
    n_seeds bigint,
    n_seeds_missing bigint,
    ci_low double,
    ci_high double,
    p_value double,
    family varchar,
    correction varchar,
    p_corrected double,
    n_tests bigint,
    ci_low_corrected double,
    ci_high_corrected double,
    n bigint not null,
    -- Whether items were paired across the languages.
    is_paired boolean not null,
    -- The contrast that decided how many items a side was asked; intervals and tests are left out then.
    stopped_by varchar
);

-- One row per trend over models: of a contrast, of its gap between two languages, or of one method's scores
-- (no `contrast`, no `against`).
create table size_trends (
    experiment varchar not null,
    contrast varchar,
    of varchar not null,
    against varchar,
    dataset varchar not null,
    language varchar not null,
    -- Of a gap: the language whose contrast is subtracted, and what its two sides were tuned on; else null.
    other_language varchar,
    of_train_languages varchar not null,
    against_train_languages varchar,
    other_of_train_languages varchar,
    other_against_train_languages varchar,
    judge varchar not null,
    measure varchar not null,
    -- Change for ten times the parameters; null with the reason.
    slope double,
    standard_error double,
    df double,
    ci_low double,
    ci_high double,
    p_value double,
    no_slope_reason varchar,
    family varchar,
    correction varchar,
    p_corrected double,
    n_tests bigint,
    ci_low_corrected double,
    ci_high_corrected double,
    -- The fitted line at both ends.
    smallest bigint,
    largest bigint,
    at_smallest double,
    at_largest double,
    -- Parameters at which the line is zero; an end of the interval is null beyond the sizes that were
    -- measured.
    crossing double,
    crossing_low double,
    crossing_high double,
    no_crossing_reason varchar,
    n bigint not null,
    n_items bigint not null,
    n_sizes bigint not null,
    n_models bigint not null,
    -- Of trained sides: training seeds of the model with the fewest, and those that are missing, over all
    -- models.
    n_seeds bigint,
    n_seeds_missing bigint,
    -- The contrast that decided how many items a side was asked; intervals and tests are left out then.
    stopped_by varchar
);

-- One row per dataset, language, model, measure that compares answers, and method with the languages it was
-- tuned on.
create table method_strengths (
    experiment varchar not null,
    dataset varchar not null,
    language varchar not null,
    model varchar not null,
    judge varchar not null,
    measure varchar not null,
    method varchar not null,
    train_languages varchar not null,
    -- Log-odds of winning against a method of mean strength; null where comparisons do not link all methods.
    strength double,
    -- Null with one item, and where the maximum of the likelihood is infinite.
    standard_error double,
    -- Profile likelihood; null with one item, and where the interval has no finite end on this side.
    ci_low double,
    ci_high double,
    -- Share of its comparisons that it won, ties one half.
    win_rate double not null,
    n bigint not null,
    n_items bigint not null,
    -- Half a level comparison was added to each pair for `strength`: some methods won or lost everything
    -- against the rest.
    is_regularised boolean not null,
    -- The contrast that decided how many items a side was asked; intervals and tests are left out then.
    stopped_by varchar
);
