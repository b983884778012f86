"""Aggregation strategies of Flower (the package ``flwr``) as plain functions of numpy arrays.

Nothing of Flower runs but the aggregation: who takes part, what a client does and when a training ends are decided
elsewhere. Written against flwr 1.41, which has two kinds of strategies: those of ``flwr.serverapp.strategy``, which
exchange messages, and the older ones of ``flwr.server.strategy``. Server optimisers (FedAvgM, FedAdam and their like)
need the first kind, which is told the global model; an older one would have to be made with it.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import PluginError

Arrays = list[NDArray[Any]]

# Keys of a reply: Flower's own clients use these by default. A strategy finds the arrays whatever they are called.
ARRAYS, METRICS, SIZE = "arrays", "metrics", "num-examples"


def is_strategy(found: object) -> bool:
    """Whether this is a strategy of Flower, which aggregates replies (newer ones) or results of clients."""
    return not isinstance(found, type) and (hasattr(found, "aggregate_train") or hasattr(found, "aggregate_fit"))


def adapted(strategy: Any) -> Callable[[list[Arrays], list[int], Arrays, int], Sequence[NDArray[Any]]]:
    """The strategy's aggregation as a function of the clients' models, their sizes, the global model and the round."""
    logging.getLogger("flwr").setLevel(logging.WARNING)  # it writes a line for each round
    messages = hasattr(strategy, "aggregate_train")

    def aggregate(models: list[Arrays], sizes: list[int], current: Arrays, number: int) -> Arrays:
        found = (_by_messages if messages else _by_results)(strategy, models, sizes, current, number)
        if found is None:
            raise PluginError(
                f"expected new arrays from Flower's {type(strategy).__name__}, got None: it did not aggregate"
            )
        return found

    return aggregate


def _by_messages(strategy: Any, models: list[Arrays], sizes: list[int], current: Arrays, number: int) -> Arrays | None:
    """One round of a strategy of ``flwr.serverapp.strategy``."""
    app = importlib.import_module("flwr.app")

    def record(arrays: Arrays) -> Any:
        # Names that sort as the arrays are ordered, should a strategy sort them.
        return app.ArrayRecord({f"{place:06d}": app.Array(np.asarray(array)) for place, array in enumerate(arrays)})

    def reply(client: int, arrays: Arrays, size: int) -> Any:
        content = app.RecordDict(
            {ARRAYS: record(arrays), METRICS: app.MetricRecord({getattr(strategy, "weighted_by_key", SIZE): size})}
        )
        # Outside of Flower's runtime a message can only be made with all of its metadata.
        metadata = app.Metadata(
            run_id=0,
            message_id=f"{number}-{client}",
            src_node_id=client,
            dst_node_id=0,
            reply_to_message_id=f"{number}",
            group_id=f"{number}",
            created_at=0.0,
            ttl=1.0,
            message_type=app.MessageType.TRAIN,
        )
        return app.Message(content=content, metadata=metadata)

    # Server optimisers learn the global model here. It asks nobody to train, since that is decided elsewhere.
    fraction = getattr(strategy, "fraction_train", None)
    strategy.fraction_train = 0.0
    try:
        strategy.configure_train(number, record(current), app.ConfigRecord(), None)
    finally:
        strategy.fraction_train = fraction
    replies = [reply(1 + place, *each) for place, each in enumerate(zip(models, sizes, strict=True))]
    arrays, _ = strategy.aggregate_train(number, replies)
    return None if arrays is None else [np.asarray(arrays[name].numpy()) for name in sorted(arrays)]


def _by_results(strategy: Any, models: list[Arrays], sizes: list[int], current: Arrays, number: int) -> Arrays | None:
    """One round of a strategy of ``flwr.server.strategy``."""
    common = importlib.import_module("flwr.common")
    results = [
        (
            _client(str(place)),
            common.FitRes(
                common.Status(common.Code.OK, ""), common.ndarrays_to_parameters(arrays), num_examples=size, metrics={}
            ),
        )
        for place, (arrays, size) in enumerate(zip(models, sizes, strict=True))
    ]
    parameters, _ = strategy.aggregate_fit(number, results, [])
    return None if parameters is None else [np.asarray(a) for a in common.parameters_to_ndarrays(parameters)]


def _client(cid: str) -> Any:
    """A stand-in for a client, which a strategy may tell by its ``cid`` and nothing else."""
    proxy = importlib.import_module("flwr.server.client_proxy").ClientProxy

    def refuse(*_: Any, **__: Any) -> Any:
        raise NotImplementedError("a strategy aggregates here; its clients cannot be asked for anything")

    methods = dict.fromkeys(("fit", "evaluate", "get_parameters", "get_properties", "reconnect"), refuse)
    return type("StandIn", (proxy,), methods)(cid)
