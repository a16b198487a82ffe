"""The PACS side: associations, query, retrieve, store, verify, and the embedded PACS.

Here only what all of them need at import: patient data kept out of the libraries' logs and warnings.
Retries are the caller's (tasks/).
"""

import logging

from pydicom import config as pydicom_config
from pynetdicom import _config as pynetdicom_config

pynetdicom_config.LOG_REQUEST_IDENTIFIERS = False
pynetdicom_config.LOG_RESPONSE_IDENTIFIERS = False
pynetdicom_config.LOG_HANDLER_LEVEL = "none"
# A path given to send_c_store is read in pieces instead of with a full dcmread.
pynetdicom_config.STORE_SEND_CHUNKED_DATASET = True

# pynetdicom's error lines carry exception texts, and pydicom's warnings carry attribute values. What went wrong
# on an association is said by our own errors.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
logging.getLogger("pydicom").setLevel(logging.ERROR)
pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
