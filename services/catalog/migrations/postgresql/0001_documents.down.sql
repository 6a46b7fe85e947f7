DROP TABLE document_changes;
DROP FUNCTION document_changes_waits;
DROP TABLE documents;
