"""Oracles: counts by class worked out by hand; the definition (hashes by hashlib) on a small case."""

from __future__ import annotations

import hashlib

import numpy as np

from pcbench.data.selection import stratified_order


def test_every_beginning_holds_the_classes_in_proportion() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    order = stratified_order([str(number) for number in range(1000)], labels, seed=0)
    for count in (10, 50, 100, 333, 720):
        held = np.bincount(labels[order[:count]], minlength=3)
        assert np.abs(held - count * np.array([0.6, 0.3, 0.1])).max() <= 1


def test_it_is_a_permutation_that_depends_on_the_seed_alone() -> None:
    ids = [f"image-{number}" for number in range(200)]
    labels = np.arange(200) % 7
    order = stratified_order(ids, labels, seed=3)
    assert sorted(order) == list(range(200))
    np.testing.assert_array_equal(order, stratified_order(ids, labels, seed=3))
    assert not np.array_equal(order, stratified_order(ids, labels, seed=4))


def test_order_of_images_does_not_matter() -> None:
    ids = np.array([f"image-{number}" for number in range(60)])
    labels = np.arange(60) % 4
    shuffled = np.random.default_rng(0).permutation(60)
    first = ids[stratified_order(list(ids), labels, seed=0)]
    again = ids[shuffled][stratified_order(list(ids[shuffled]), labels[shuffled], seed=0)]
    np.testing.assert_array_equal(first, again)


def test_one_class_is_ordered_by_the_hash() -> None:
    ids = [str(number) for number in range(20)]
    expected = sorted(range(20), key=lambda number: hashlib.sha256(f"5:{number}".encode()).hexdigest())
    assert stratified_order(ids, np.zeros(20, dtype=np.int64), seed=5).tolist() == expected
