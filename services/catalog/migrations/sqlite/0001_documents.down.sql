DROP TABLE document_changes;
DROP TABLE documents;
