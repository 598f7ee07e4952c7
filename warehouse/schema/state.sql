-- State of the warehouse itself.

-- One row per study, data set and model whose statistics are stale: something was loaded since they were
-- computed.
create table stale_slices (
    experiment varchar not null,
    dataset varchar not null,
    model varchar not null,
    primary key (experiment, dataset, model)
);

-- One row per part of the warehouse whose text must be that of the files: `schema`, `views`, `computed`.
create table made_from (
    part varchar primary key,
    sha256 varchar not null
);
