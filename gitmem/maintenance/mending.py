"""The one commit that puts a tree right, and the second look that says whether it did.

Knows the cures that `contents` found; decides nothing about what is ill.
Law: no key's value or expiry that is in force changes its meaning, and what somebody changed meanwhile is left alone.
"""

from __future__ import annotations

from gitmem import codec, trees
from gitmem.editing import edit
from gitmem.errors import GitmemError, InvalidPolicyError
from gitmem.maintenance.contents import Cure, Examination, read_policy
from gitmem.maintenance.findings import Chart, Finding
from gitmem.objects import BLOB_MODE, Commit, Objects, Oid, Writer, serialize_tree
from gitmem.place import POLICY_FILE, SELF
from gitmem.provenance import Stamp, compose
from gitmem.trees import KeyId
from gitmem.vault import Vault
from gitmem.writing import Rewrite, WritePath


def examine(chart: Chart, vault: Vault, branch: str) -> None:
    """Look through the tree at the head of a branch; with a licence to repair, mend it and look again."""
    objects = vault.objects
    before = Examination(objects, objects.commit(vault.repository.head(branch)))
    left, done = before, ""
    if chart.repair and before.cure:
        try:
            commit = _mend(vault, branch, before.cure)
            done = f"mended by commit {commit.oid.hex()[:12]}" if commit is not None else "mended meanwhile"
            left = Examination(objects, objects.commit(vault.repository.head(branch)))
        except GitmemError as error:
            done = f"it could not be repaired: {error}; {error.hint}"
    still = {(one.code, one.message) for one in left.ailments}
    for one in before.ailments:
        repaired = one.curable and (one.code, one.message) not in still
        hint = done if repaired or (one.curable and done and left is before) else one.hint
        chart.add(Finding(one.severity, one.code, _on(branch, one.message), hint, repaired))


def _on(branch: str, message: str) -> str:
    return message if branch == "main" else f"on branch {branch}: {message}"


def _mend(vault: Vault, branch: str, cure: Cure) -> Commit | None:
    def plan(head: Commit) -> Rewrite | None:
        size = len(cure.values) + len(cure.expiries) + len(cure.reprint) + len(cure.drop)
        message = compose(_subject(cure), [("Agent", SELF)])
        return Rewrite(size, message, lambda writer: _cured(vault.objects, writer, head.tree, cure))

    return WritePath(vault, branch, Stamp(SELF, None)).rewrite(plan)


def _subject(cure: Cure) -> str:
    counts = {
        "directories": len(cure.values) + len(cure.expiries),
        "values": len(cure.reprint),
        "expiries": len(cure.drop),
    }
    words = [f"{count} {what}" for what, count in counts.items() if count]
    return "mend " + ", ".join([*words, *(["gitmem.toml"] if cure.policy else [])])


def _cured(objects: Objects, writer: Writer, root: Oid, cure: Cure) -> Oid:
    """The root with everything put right that is still as it was found."""
    stored = _blobs(objects, root, cure.values | cure.reprint.keys())
    values: dict[KeyId, Oid | None] = {key: stored.get(key) for key in cure.values}
    for key, oid in cure.reprint.items():
        if stored.get(key) == oid:
            values[key] = writer.add("blob", codec.encode(codec.decode_trusted(objects.read_blob(oid))))
    return _with_policy(objects, writer, edit(objects, writer, root, values, _expiries(objects, root, cure)), cure)


def _expiries(objects: Objects, root: Oid, cure: Cure) -> dict[KeyId, Oid | None]:
    area = trees.expires_root(objects, root)
    if area is None:
        return {}
    stored = _blobs(objects, area, cure.expiries | cure.drop.keys())
    expiries: dict[KeyId, Oid | None] = {key: stored.get(key) for key in cure.expiries}
    expiries.update((key, None) for key, oid in cure.drop.items() if stored.get(key) == oid)
    return expiries


def _blobs(objects: Objects, root: Oid, keys: set[KeyId]) -> dict[KeyId, Oid]:
    """The blobs of many keys, a namespace at a time: where keys lie at two paths, each look-up alone is slow."""
    return {
        (namespace, key): oid
        for namespace in {namespace for namespace, _ in keys}
        for key, oid in trees.keys_of(objects, root, namespace).items()
        if (namespace, key) in keys
    }


def _with_policy(objects: Objects, writer: Writer, root: Oid, cure: Cure) -> Oid:
    if cure.policy is None:
        return root
    try:
        read_policy(objects, root)
    except InvalidPolicyError:
        blob = writer.add("blob", cure.policy)
        return writer.add("tree", serialize_tree({**objects.tree(root), POLICY_FILE: (BLOB_MODE, blob)}), base=root)
    return root
