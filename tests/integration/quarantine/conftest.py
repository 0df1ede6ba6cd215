from tests.integration.quarantine.isolation import faults as faults  # noqa: PLC0414 - a fixture
