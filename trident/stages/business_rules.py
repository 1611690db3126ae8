"""Diversity, freshness, dedup and safety: 500 scored candidates → the items of the answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trident.contract import BUSINESS_RULES, FUNNEL, degraded_bit, degraded_text
from trident.errors import Unavailable
from trident.release import Release
from trident.rules import Rules
from trident.rules.answer import Allowed, Answer, RuleSet
from trident.rules.ranking import is_among
from trident.safety import Safety
from trident.stages.counted import count_answers, follow_items
from trident.stages.host import Host, Users
from trident.stages.impressions import ImpressionLog
from trident.stages.one_release import require_one_release
from trident.stages.stage import Tensors

NO_DEDUP = degraded_bit("dedup_unavailable")
STALE = degraded_bit("live_updates_stale")


@dataclass
class BusinessRules:
    """The last stage: what a caller sees."""

    release: Release
    rules: RuleSet
    safety: Safety
    store: Users
    log: ImpressionLog

    @classmethod
    def open(cls, release: Release, host: Host) -> BusinessRules:
        """Read the rules, map the item columns, and compile: no request shall wait for that."""
        rules = Rules.read(release.folder / "rules.toml")
        safety = host.safety(release, rules)
        follow_items(safety, BUSINESS_RULES.name, release.manifest.release)
        log = ImpressionLog.of(release, host)
        stage = cls(release, RuleSet.over(rules, release.items), safety, host.users(release, rules), log)
        stage._compile()
        return stage

    def close(self) -> None:
        """Follow the item changes no longer, and let go of the connections."""
        self.safety.close()
        self.store.close()

    def __call__(
        self,
        user_id: np.ndarray,
        device: np.ndarray,
        region: np.ndarray,
        limit: np.ndarray,
        record: np.ndarray,
        candidate_rows: np.ndarray,
        click_probability: np.ndarray,
        request_time: np.ndarray,
        viewer_region: np.ndarray,
        viewer_age: np.ndarray,
        seen_rows: np.ndarray,
        feature_sample: np.ndarray,
        search_funnel: np.ndarray,
        search_flags: np.ndarray,
        state_flags: np.ndarray,
        encoder_release: np.ndarray,
        ticket: np.ndarray,
        request_id: np.ndarray | None = None,
    ) -> Tensors:
        """Inputs and outputs as in the contract of `business_rules`; `request_id` (B,) is what a retry would repeat."""
        require_one_release(BUSINESS_RULES.name, self.release.manifest.release, encoder_release)
        users, k = candidate_rows.shape
        probability = click_probability.reshape(users, k)
        answers = [
            self.rules.answer(
                candidate_rows[i],
                probability[i],
                int(limit[i, 0]),
                int(request_time[i, 0]),
                self._allowed(int(viewer_region[i, 0]), int(viewer_age[i, 0]), seen_rows[i]),
            )
            for i in range(users)
        ]
        ids = [self.release.items.ids.take(answer.rows) for answer in answers]
        flags = state_flags | search_flags | STALE * self.safety.stale
        asked: Tensors = {
            "user_id": user_id, "device": device, "region": region, "record": record, "request_time": request_time,
            "viewer_region": viewer_region, "candidate_rows": candidate_rows, "feature_sample": feature_sample,
            "search_flags": flags, "request_id": np.full(users, "", np.object_) if request_id is None else request_id,
        }  # fmt: skip
        flags = flags | self._record(asked, answers, ids)
        answer = self._tensors(answers, ids, int(limit.max()), search_funnel, flags)
        count_answers(self.release.manifest.release, limit, answer["funnel"], flags, answer["score"])
        return answer

    def _compile(self) -> None:
        row = np.zeros(1, np.int64)
        self.rules.answer(row, np.ones(1, np.float32), 1, 0, self._allowed(0, 0, row))

    def _allowed(self, region: int, age: int, seen: np.ndarray) -> Allowed:
        """What a viewer may be shown now who has `seen` some rows (s,)."""
        seen = np.array(seen)  # of its own, as compiled code makes a difference

        def allowed(rows: np.ndarray) -> np.ndarray:
            return self.safety.passes(rows, region, age) & ~is_among(rows, seen)

        return allowed

    def _record(self, asked: Tensors, answers: list[Answer], ids: list[list[bytes]]) -> np.ndarray:
        """Remember what is shown, and log it, in one round trip; (B, 1) bits for what Redis did not take."""
        wanted = np.flatnonzero(asked["record"][:, 0]).tolist()
        flags = np.zeros((len(ids), 1), np.int32)
        shown = [(asked["user_id"][i, 0].decode(), int(asked["request_time"][i, 0]), ids[i]) for i in wanted]
        requests = asked["request_id"][wanted].tolist()
        rules = self.rules.rules
        try:
            if any(ids[i] for i in wanted):
                logged = self.log.entries(wanted, asked, answers, ids)
                self.store.record_shown(shown, rules.window, rules.max_items, requests, logged)
        except Unavailable:
            flags[wanted] = NO_DEDUP
        return flags

    def _tensors(
        self, answers: list[Answer], ids: list[list[bytes]], width: int, funnel: np.ndarray, flags: np.ndarray
    ) -> Tensors:
        item_id = np.full((len(answers), width), b"", np.object_)
        score = np.full((len(answers), width), np.nan, np.float32)
        counts = np.zeros((len(answers), len(FUNNEL)), np.int32)
        for i, answer in enumerate(answers):
            item_id[i, : len(ids[i])] = ids[i]
            score[i, : len(answer.scores)] = answer.scores
            counts[i] = (*funnel[i], *answer.counts)
        return {
            "item_id": item_id,
            "score": score,
            "release": np.full((len(answers), 1), self.release.manifest.release, np.int64),
            "funnel": counts,
            "degraded": np.array([[degraded_text(int(f))] for f in flags[:, 0]], np.object_),
        }
